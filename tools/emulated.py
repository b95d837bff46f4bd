"""Runs tests on the code of CPUs that this machine may not be: AVX-512 and VNNI, emulated.

    python tools/emulated.py [PYTEST_ARGUMENTS]

Builds the native module with the intrinsics in plain C++ (native/isa/emulated-x86.h) and gives it
to pytest in place of the installed one; without arguments pytest runs tests/kernels, which walk
every instruction set. Programs that tests start still load the installed one.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "emulated"
EMULATED = ("avx512vnni", "avxvnni")


def build() -> Path:
    """The native module, built anew where a source has changed."""
    cmake = [
        "cmake", "-G", "Ninja", "-S", str(ROOT / "native"), "-B", str(FOLDER),
        "-DCMAKE_BUILD_TYPE=Release", "-DABOARD_EMULATED_X86=ON",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]  # fmt: skip
    for command in (cmake, ["ninja", "-C", str(FOLDER), "_native"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return next(FOLDER.glob("_native*.so"))


def main() -> None:
    spec = importlib.util.spec_from_file_location("aboard._native", build())
    assert spec is not None
    assert spec.loader is not None
    native = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = native
    spec.loader.exec_module(native)
    missing = set(EMULATED) - set(native.supported_isas())
    if missing:
        sys.exit(f"this machine can't emulate {', '.join(sorted(missing))}: it has no AVX2")
    sys.exit(pytest.main(sys.argv[1:] or [str(ROOT / "tests" / "kernels")]))


if __name__ == "__main__":
    main()
