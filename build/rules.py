"""Compile rule texts to one rule table: identical input gives an identical file, whatever the machine.

    .venv/bin/python build/rules.py                                    the built-in rules: scoring/rules/*.rules
    .venv/bin/python build/rules.py --output my.table my.rules ...     other rule files and blocklists, in any number

rule_compiler/texts.py has the format of rule files.
"""

import sys

from rule_compiler.command import main

if __name__ == "__main__":
    sys.exit(main())
