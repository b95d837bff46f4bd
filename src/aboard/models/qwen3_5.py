"""Qwen3.5 as it is published: its text model, with a part that sees."""

from __future__ import annotations

from aboard.models import qwen3_5_text
from aboard.models.config import Config
from aboard.models.conversion import Conversion
from aboard.models.text_part import as_part, text_config

_OF_IMAGES = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


def convert(config: Config) -> Conversion:
    """The GGUF file of the text model in such a checkpoint; see `aboard.models.convert_config`.

    Raises
    ------
    ConfigError
        There is no `text_config`, or it contradicts what is around it.
    """
    text = text_config(config, "qwen3_5_text", of_others=_OF_IMAGES, tied=False)
    return as_part(qwen3_5_text.convert(text))
