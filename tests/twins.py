"""The twins that every scoring test runs on, and the kernels that every hashing test runs with."""

from types import ModuleType

from scoring import _compiled, _pure

TWINS: list[ModuleType] = [_pure, _compiled]

# (engine, kernel) as `scoring.kernel.load_kernel` takes them.
HASHING = [("pure", "auto"), *(("compiled", kernel) for kernel in ("auto", *_compiled.kernels_present()))]
