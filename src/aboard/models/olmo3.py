"""OLMo 3 (arXiv:2512.13961): OLMo 2 with windows in most layers, and in GGUF an `olmo2`."""

from __future__ import annotations

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.layer_kinds import ropes_of_kinds, store_windows
from aboard.models.olmo2 import olmo_config, olmo_conversion

_BASE = 500_000.0


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`.

    Raises
    ------
    UnsupportedFile
        The layers with a window turn by another base than the others.
    """
    decoder = olmo_config(config)
    far, near = ropes_of_kinds(config, _BASE, config.number("rope_theta", _BASE))
    if near.base != far.base:
        raise UnsupportedFile(
            f"{config.where}: layers with a window have a rope_theta of {near.base:g}, the others "
            f"of {far.base:g}; GGUF's olmo2 has one for both"
        )
    decoder.rope(far, decoder.head_dim, ("default", "linear", "yarn"))
    near.require("default")
    near.scaling.finish()
    store_windows(decoder, period=4, window=4096)
    return olmo_conversion(decoder)
