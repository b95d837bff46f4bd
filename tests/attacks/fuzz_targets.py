"""The functions that the fuzzers call, for tests that replay or extend their finds."""

import importlib.util
from pathlib import Path
from types import ModuleType

FUZZ = Path(__file__).parents[2] / "fuzz"


def load(name: str) -> ModuleType:
    """The module `name` of the fuzz folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
