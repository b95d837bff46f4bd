"""Mistral (arXiv:2310.06825) without its window: the layers of Llama, and in GGUF a `llama`."""

from __future__ import annotations

from aboard.errors import UnsupportedFile
from aboard.models import llama
from aboard.models.config import Config
from aboard.models.conversion import Conversion

_WINDOW = 4096  # what transformers takes where the config doesn't say


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`.

    Raises
    ------
    UnsupportedFile
        Tokens see a window of the context only, which GGUF's `llama` has no word for.
    """
    if not config.is_null("sliding_window"):
        window = config.integer("sliding_window", _WINDOW)
        context = config.integer("max_position_embeddings")
        if window < context:
            raise UnsupportedFile(
                f"{config.where}: sliding_window is {window} in a context of {context}; "
                "GGUF has no such Mistral models",
                hint="Get a later version, from 0.2 on: they have no window.",
            )
    return llama.convert(config)
