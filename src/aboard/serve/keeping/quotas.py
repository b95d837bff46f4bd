"""How much a server keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Bounds of what is kept; whoever goes beyond one gets an error that names it.

    Attributes
    ----------
    max_file_bytes : int
        Of one file that is sent.
    max_bytes : int
        Of all files. What batches answer is kept beyond it, since it would be lost otherwise; no
        file is taken from then on.
    max_files : int
        Of all keys.
    max_uploads : int
        Files that are being received at once.
    max_batches : int
        Batches of all keys that have not ended.
    max_ended : int
        Batches of one key that have; older ones are forgotten, and their files stay.
    max_lines : int
        Of one batch.
    max_batch_bytes : int
        Of the file of a batch.
    """

    max_file_bytes: int = 512 << 20
    max_bytes: int = 16 << 30
    max_files: int = 100_000
    max_uploads: int = 8
    max_batches: int = 100
    max_ended: int = 10_000
    max_lines: int = 50_000
    max_batch_bytes: int = 200 << 20
