"""A Gemma 4 that sees and hears without towers (12B): its text model becomes a `gemma4`."""

from __future__ import annotations

from aboard.models import gemma4_unified_text
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.gemma4 import OF_OTHERS
from aboard.models.text_part import as_part, text_config


def convert(config: Config) -> Conversion:
    """The GGUF file of the text model in such a checkpoint; see `aboard.models.convert_config`.

    Raises
    ------
    ConfigError
        There is no `text_config`, or it contradicts what is around it.
    """
    text = text_config(config, "gemma4_unified_text", of_others=OF_OTHERS)
    return as_part(gemma4_unified_text.convert(text))
