"""`python -m benchmarks [NAME] [options]`: one benchmark by name; without a name the cold-start lab, our question."""

import importlib
import sys

# Name -> module with a `main()` that reads its options from sys.argv and returns an exit status.
BENCHMARKS = {
    "coldstart": "benchmarks.coldstart.command",
    "kernels": "benchmarks.kernels",
    "screening": "benchmarks.screening.comparison",
    "approvals": "benchmarks.approvals",
    "local-system": "benchmarks.local_system",
    "card-ids": "benchmarks.card_ids",
    "card-numbers": "benchmarks.card_numbers.comparison",
    "packaging": "benchmarks.packaging",
    "compare": "benchmarks.coldstart.compare",
    "aws": "benchmarks.coldstart.aws",
    "profile-init": "benchmarks.coldstart.profile_init",
}
DEFAULT = "coldstart"


def main() -> int:
    """Run what was named; 1 where a bar was missed, 2 for an unknown name."""
    named = len(sys.argv) > 1 and not sys.argv[1].startswith("-")
    name, options = (sys.argv[1], sys.argv[2:]) if named else (DEFAULT, sys.argv[1:])
    if name not in BENCHMARKS:
        print(f"{name!r} is no benchmark: name one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m benchmarks {name}", *options]
    status: int = importlib.import_module(BENCHMARKS[name]).main()
    return status


if __name__ == "__main__":
    sys.exit(main())
