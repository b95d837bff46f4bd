"""The models of this machine: a small catalogue, the folder they lie in, and how they get there.

`pull` is the only thing in Aboard that leads to a network, and it does so by starting pip.
"""

from __future__ import annotations

from aboard.store.catalogue import CATALOGUE, Entry
from aboard.store.folder import State, Store, default_store
from aboard.store.pull import pull
from aboard.store.resolve import resolve, resolve_checkpoint

__all__ = [
    "CATALOGUE",
    "Entry",
    "State",
    "Store",
    "default_store",
    "pull",
    "resolve",
    "resolve_checkpoint",
]
