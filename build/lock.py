"""Resolve the dependencies anew and write the lock files. packager/locks.py has what is in them."""

import argparse
import sys
from pathlib import Path

from packager.locks import LOCKS, LockError, write_lock


def main() -> int:
    """Write those that are named, else all; 1 with the reason on standard error when one was not written."""
    locks = {Path(lock.path).stem: lock for lock in LOCKS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"lock files to write: {', '.join(locks)} (all)")
    names = parser.parse_args().names
    if unknown := set(names) - set(locks):
        parser.error(f"{', '.join(sorted(unknown))} is none of {', '.join(locks)}")
    try:
        for name in names or locks:
            write_lock(locks[name])
    except LockError as error:
        print(f"build/lock.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
