#!/usr/bin/env python3
"""Compile rule texts to one rule table: identical input gives an identical file, whatever the machine.

    python build/rules.py                                    the built-in rules: scoring/rules/*.rules
    python build/rules.py --output my.table my.rules ...     other rule files and blocklists, in any number

rule_compiler/texts.py has the format of rule files.
"""

import sys
from pathlib import Path

# A script by its path has its own folder in front, not the checkout.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rule_compiler.command import main

if __name__ == "__main__":
    sys.exit(main())
