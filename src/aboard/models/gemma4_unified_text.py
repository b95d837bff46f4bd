"""The text model of a Gemma 4 without towers (12B), as transformers describes it."""

from __future__ import annotations

from aboard.models import gemma4_text
from aboard.models.config import Config
from aboard.models.conversion import Conversion


def convert(config: Config) -> Conversion:
    """The GGUF file that such a checkpoint becomes; see `aboard.models.convert_config`."""
    config.assume(
        max_position_embeddings=262_144, sliding_window=1024, hidden_size_per_layer_input=0
    )
    config.must_be("hidden_size_per_layer_input", 0)  # transformers reads it of the others only
    return gemma4_text.converted(config)
