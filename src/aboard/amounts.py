"""Amounts as people read them."""

from __future__ import annotations


def megabytes(size_bytes: float) -> str:
    """`98.4 MB` for 98,362,432 bytes, `3.90 GB`, `12.0 kB`; decimal units."""
    for unit, name, digits in ((1e9, "GB", 2), (1e6, "MB", 1), (1e3, "kB", 1)):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.{digits}f} {name}"
    return f"{size_bytes:.0f} B"
