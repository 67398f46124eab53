"""The engines that every scoring test runs on, and the kernels that every hashing test runs with."""

from scoring import _compiled, _pure
from scoring.kernel import Engine

ENGINES: list[Engine] = [_pure, _compiled]

# (engine, kernel) as `scoring.kernel.load_engine` takes them.
HASHING = [("pure", "auto"), *(("compiled", kernel) for kernel in ("auto", *_compiled.kernels_present()))]
