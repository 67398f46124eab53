"""The scripts of build/ for tests: it is no package, so they are loaded by path, as running them would."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    """Load `build/<name>.py`; what it imports of its folder comes from there too."""
    folder = str(ROOT / "build")
    if folder not in sys.path:
        # Last, so that no script hides a package of the same name.
        sys.path.append(folder)
    qualified = f"build_{name}"
    if qualified not in sys.modules:
        spec = importlib.util.spec_from_file_location(qualified, ROOT / "build" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module
        spec.loader.exec_module(module)
    return sys.modules[qualified]
