"""What a file is that isn't what it should be, by its first bytes; above all pickles."""

from __future__ import annotations

from aboard.errors import UnsupportedFile

# Unpickling runs whatever program the file names, so it is never done; not even to look inside.
PICKLED = (
    "Reading a pickle can run any program, so Aboard never does. Get the model as safetensors or "
    "GGUF, or have someone who trusts the file save it anew as safetensors."
)
PICKLED_SUFFIXES = frozenset((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"))

_LOOKS_LIKE = {
    b"PK\x03\x04": ("a zip archive, as PyTorch makes them", PICKLED),
    b"\x80\x02": ("a Python pickle", PICKLED),
    b"\x80\x03": ("a Python pickle", PICKLED),
    b"\x80\x04": ("a Python pickle", PICKLED),
    b"\x80\x05": ("a Python pickle", PICKLED),
    b"vers": ("a Git LFS pointer", "Fetch the file that it stands for with `git lfs pull`."),
    b"<!DO": ("a web page", "The download failed: get the file again."),
    b"<!do": ("a web page", "The download failed: get the file again."),
    b"<htm": ("a web page", "The download failed: get the file again."),
    b"tjgg": ("a GGML file from before GGUF", "Convert the model again, to GGUF."),
    b"lmgg": ("a GGML file from before GGUF", "Convert the model again, to GGUF."),
    b"GGUF": ("a GGUF file", "Give it a name that ends in .gguf."),
}


def looks_like(start: bytes) -> tuple[str, str] | None:
    """What a file that begins with `start` is, and what to do; None where that isn't known."""
    return next((like for prefix, like in _LOOKS_LIKE.items() if start.startswith(prefix)), None)


def pickled(path: object) -> UnsupportedFile:
    """The refusal of a checkpoint whose name says that it is a pickle."""
    return UnsupportedFile(f"{path}: is a pickled checkpoint", hint=PICKLED)
