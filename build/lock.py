"""Resolve the dependencies anew and write every lock file. packager/locks.py has what is in them."""

import sys

from packager.locks import LOCKS, LockError, write_lock


def main() -> int:
    """Write every lock file; 1 with the reason on standard error when one was not written."""
    try:
        for lock in LOCKS:
            write_lock(lock)
    except LockError as error:
        print(f"build/lock.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
