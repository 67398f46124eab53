"""`python -m benchmarks [NAME] [options]`: one benchmark by name; without a name the cold-start lab, our question."""

import sys
from importlib import import_module
from importlib.util import find_spec

# Name -> module with a `main()` that reads its options from sys.argv and returns an exit status.
BENCHMARKS = {
    "coldstart": "benchmarks.coldstart.command",
    "kernels": "benchmarks.kernels",
    "screening": "benchmarks.screening.comparison",
    "approvals": "benchmarks.approvals",
    "webhook": "benchmarks.webhook",
    "aws-requests": "benchmarks.aws_requests",
    "local-system": "benchmarks.local_system",
    "card-ids": "benchmarks.card_ids",
    "card-numbers": "benchmarks.card_numbers.comparison",
    "packaging": "benchmarks.packaging",
    "set-up": "benchmarks.set_up",
    "help": "benchmarks.help",
    "gateways": "benchmarks.coldstart.gateways",
    "compare": "benchmarks.coldstart.compare",
    "aws": "benchmarks.coldstart.aws",
    "avalanche-simulation": "benchmarks.avalanche.command",
    "profile-init": "benchmarks.coldstart.profile_init",
    "profile-payment": "benchmarks.coldstart.profile_payment",
    "avalanche-live": "benchmarks.avalanche.live",
    "avalanche-aws": "benchmarks.avalanche.aws",
}
DEFAULT = "coldstart"
# What `make setup` does not install; it is asked for before anything is measured.
NEEDS = {
    "kernels": ("stringzilla",),
    "screening": ("hyperscan", "ahocorasick_rs"),
}


def main() -> int:
    """Run what was named; 1 where a bar was missed, 2 for an unknown name or a missing peer, 130 after Ctrl-C."""
    named = len(sys.argv) > 1 and not sys.argv[1].startswith("-")
    name, options = (sys.argv[1], sys.argv[2:]) if named else (DEFAULT, sys.argv[1:])
    if name not in BENCHMARKS:
        print(f"{name!r} is no benchmark: name one of {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    missing = [module for module in NEEDS.get(name, ()) if find_spec(module) is None]
    if missing and not {"-h", "--help"} & set(options):
        print(
            f"{name} needs {' and '.join(missing)}: .venv/bin/python -m pip install --editable '.[benchmark]'",
            file=sys.stderr,
        )
        return 2
    if not named and {"-h", "--help"} & set(options):
        print(f"python -m benchmarks NAME [options]; NAME is one of {', '.join(BENCHMARKS)}; without one, {DEFAULT}:\n")
    sys.argv = [f"python -m benchmarks {name}", *options]
    try:
        status: int = import_module(BENCHMARKS[name]).main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
