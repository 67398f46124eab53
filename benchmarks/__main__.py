"""`python -m benchmarks [NAME [options]]`: one benchmark by name, or those that need nothing but this machine's CPU."""

import importlib
import sys

# Name -> module with a `main()` that reads its options from sys.argv and returns an exit status.
BENCHMARKS = {
    "kernels": "benchmarks.kernels",
    "local-system": "benchmarks.local_system",
}
DEFAULT = ["kernels"]


def main() -> int:
    """Run what was named; 1 where a bar was missed, 2 for an unknown name."""
    name, *options = sys.argv[1:] or [""]
    if name and name not in BENCHMARKS:
        print(f"{name!r} is no benchmark: name one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    status = 0
    for each in [name] if name else DEFAULT:
        sys.argv = [f"python -m benchmarks {each}", *options]
        status = max(status, importlib.import_module(BENCHMARKS[each]).main())
    return status


if __name__ == "__main__":
    sys.exit(main())
