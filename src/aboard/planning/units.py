"""Sizes and bandwidths as people write them: 8GB is 10^9 bytes each, 8GiB 2^30."""

from __future__ import annotations

import re

from aboard.errors import UsageError

_WRITTEN = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)(/s)?")
_UNITS = {
    "B": 1,
    **{f"{letter}B": 1000**n for n, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": 1024**n for n, letter in enumerate("KMGT", 1)},
}
# In one case throughout, too; not "Gb", which are bits.
_UNITS |= {name.lower(): factor for name, factor in _UNITS.items()}
_UNITS |= {name.upper(): factor for name, factor in _UNITS.items() if "i" not in name}
_LONGEST_BYTES = 1 << 60


def parse_size(text: str) -> int:
    """Bytes of `text`, such as "8GB", "7.5 GiB" or "512MB".

    Raises
    ------
    UsageError
        It is no such size, or none that a machine has.
    """
    return _parse(text, "a size", "8GB (10^9 bytes each) or 8GiB (2^30)", per_second=False)


def parse_bandwidth(text: str) -> int:
    """Bytes a second of `text`, such as "60GB/s".

    Raises
    ------
    UsageError
        It is no such bandwidth.
    """
    return _parse(text, "a bandwidth", "60GB/s", per_second=True)


def _parse(text: str, what: str, example: str, *, per_second: bool) -> int:
    found = _WRITTEN.fullmatch(text.strip())
    unit = found[2] if found else ""
    if found is None or unit not in _UNITS or bool(found[3]) is not per_second:
        raise UsageError(f"{text[:40]!r} is not {what}", hint=_hint(found, example, per_second))
    value = int(float(found[1]) * _UNITS[unit])
    if not 0 < value <= _LONGEST_BYTES:
        raise UsageError(
            f"{text[:40]!r} is not {what} that a machine has", hint=f"As in {example}."
        )
    return value


def _hint(found: re.Match[str] | None, example: str, per_second: bool) -> str:
    if found and re.fullmatch("[kKMGT]b", found[2]):
        return f"{found[2]} are bits: write bytes, as in {example}."
    if found and per_second and not found[3]:
        return f"A bandwidth is bytes a second: write it as in {example}."
    if found and found[3] and not per_second:
        return f"That is a bandwidth; write a size as in {example}."
    return f"Write it as in {example}."
