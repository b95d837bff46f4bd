"""Configs of models that could have windows, read so far that it is sure that they have none.

In most architectures of GGUF there is no word for a window: a checkpoint that has one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.layer_kinds import near_by_kinds


def refuse_windows(config: Config, *, default: Iterable[bool], window: int | None) -> None:
    """Read `layer_types`, `sliding_window` and `use_sliding_window`; each token must see all.

    Parameters
    ----------
    config : Config
        Of the model.
    default : iterable of bool
        Which layers have a window where `layer_types` is missing but `use_sliding_window` is true.
    window : int, optional
        The window's size where the config doesn't say it.

    Raises
    ------
    UnsupportedFile
        A layer has a window that is shorter than the context.
    ConfigError
        The config contradicts itself.
    """
    used = config.flag("use_sliding_window", False)
    if not config.is_null("sliding_window") and window is not None:
        config.assume(sliding_window=window)
    used_by_default = used and config.has("sliding_window")
    near = [used_by_default and each for each in default]
    by_kinds = near_by_kinds(config, len(near))
    if by_kinds is not None:
        near = [*by_kinds]
    if not any(near):
        config.ignore("sliding_window")
        return
    if not used_by_default:
        raise config.contradiction("layer_types has windows, but no window is to be used")
    size, context = config.integer("sliding_window"), config.integer("max_position_embeddings")
    if size < context:
        raise UnsupportedFile(
            f"{config.where}: sliding_window is {size} in a context of {context}; "
            f"GGUF has no such {config.model_type} models",
            hint="Set use_sliding_window to false if you accept that answers to long texts differ.",
        )
