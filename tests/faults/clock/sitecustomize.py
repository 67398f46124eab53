"""A clock that jumps, in a process that is started with this folder on PYTHONPATH and FAULTS_CLOCKS set.

The rule: the process only reads. Nanoseconds in its own file, named by its pid, are a wrong clock; those in the file
`later` are time that passed for every function at once, of which the runtime's deadlines (`time.time`) know nothing.
"""

import os
import time

_FOLDER = os.environ.get("FAULTS_CLOCKS")


def _jump(folder: str) -> None:
    import mmap

    def mapped(name: str) -> mmap.mmap:
        with open(os.path.join(folder, name), "r+b") as file:
            return mmap.mmap(file.fileno(), 8)

    own = os.path.join(folder, str(os.getpid()))
    with open(own, "wb") as file:
        file.write(bytes(8))
    wrong, later = mapped(own), mapped("later")
    real_ns = time.time_ns

    def shifted(by: mmap.mmap) -> int:
        return int.from_bytes(by[:8], "little", signed=True)

    time.time_ns = lambda: real_ns() + shifted(wrong) + shifted(later)
    time.time = lambda: (real_ns() + shifted(wrong)) / 1e9


if _FOLDER:
    _jump(_FOLDER)
