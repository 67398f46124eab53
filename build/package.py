"""Assemble what runs in Lambda: our code, the compiled engine, the rule table, locked dependencies; as a folder or ZIP.

The rule it keeps: content decides everything. The same sources, lock file and interpreter give the same bytes, on any
day and in any folder, and a dependency is shipped as its wheel has it or left out: no file of its code is ever edited.

    python build/package.py host --out folder      an unzipped package for this interpreter
    python build/package.py lambda                 the ZIP files for Lambda, into dist/
"""

import sys
from pathlib import Path

# Any interpreter may run this, as a package is made for the one that runs it; ours is installed in .venv alone.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from packager.command import main

if __name__ == "__main__":
    sys.exit(main())
