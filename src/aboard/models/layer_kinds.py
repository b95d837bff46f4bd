"""Layers of two kinds in a config.json: near ones, whose tokens see a window, and far ones.

`layer_types` names the kind of each layer; from transformers 5 on `rope_parameters` has an object
for each kind.
"""

from __future__ import annotations

from aboard.errors import UnsupportedFile
from aboard.models.config import Config
from aboard.models.decoder_config import DecoderConfig
from aboard.models.hyperparameters import of_period
from aboard.models.rope_config import RopeConfig

NEAR, FAR = "sliding_attention", "full_attention"


def store_windows(decoder: DecoderConfig, *, period: int, window: int) -> None:
    """Read which layers have a window, and of how many tokens, and store it.

    Parameters
    ----------
    decoder : DecoderConfig
        Whose config says it.
    period : int
        Of so many layers all but the last have one where the config doesn't say which.
    window : int
        Its size where the config doesn't say it.

    Raises
    ------
    UnsupportedFile
        GGUF has no word for it: to llama.cpp, such layers come in periods.
    ConfigError
        The config contradicts itself.
    """
    config = decoder.config
    near = _near_layers(config, decoder.n_layers, period)
    if any(near) and config.is_null("sliding_window"):
        raise config.contradiction("layers have a window, but sliding_window is null")
    size = config.integer("sliding_window", window)
    if not any(near):
        if decoder.architecture == "gemma2":
            raise UnsupportedFile(f"{config.where}: no layer has a window, GGUF's gemma2 needs one")
        return
    decoder.set("attention.sliding_window", size)
    periods = [period, 0, *range(2, decoder.n_layers + 1)]
    found = next((each for each in periods if near == of_period(each, len(near))), None)
    if found is None:
        raise UnsupportedFile(
            f"{config.where}: the layers with a window don't come in periods, and GGUF's "
            f"{decoder.architecture} has no word for that"
        )
    if found != period:
        decoder.set("attention.sliding_window_pattern", found)


def ropes_of_kinds(
    config: Config, far_base: float, near_base: float
) -> tuple[RopeConfig, RopeConfig]:
    """The rope of the far layers and that of the near ones.

    Older configs have `rope_theta` and `rope_scaling` for the far ones, `rope_local_base_freq` for
    the near ones.

    Raises
    ------
    ConfigError
        The config contradicts itself.
    """
    far, near = None, Config({}, config.where)
    kinds = config.nested("rope_parameters")
    if kinds is not None:
        far, near = (kinds.nested(name) or Config({}, kinds.where) for name in (FAR, NEAR))
        kinds.finish()
    return (
        RopeConfig(config, far_base, own=far),
        RopeConfig(config, near_base, own=near, base_name="rope_local_base_freq"),
    )


def near_by_kinds(config: Config, n_layers: int) -> tuple[bool, ...] | None:
    """Which layers have a window by `layer_types`; None where the config has no such list.

    Raises
    ------
    UnsupportedFile
        A layer is of another kind.
    ConfigError
        It is no list of a text for each layer.
    """
    kinds = config.texts("layer_types", n_layers)
    if kinds is None:
        return None
    unknown = sorted(set(kinds) - {NEAR, FAR})
    if unknown:
        raise UnsupportedFile(
            f"{config.where}: layer_types has {unknown[0][:40]!r}, "
            f"Aboard understands {NEAR!r} and {FAR!r}"
        )
    return tuple(kind == NEAR for kind in kinds)


def _near_layers(config: Config, n_layers: int, period: int) -> tuple[bool, ...]:
    pattern = of_period(config.integer("sliding_window_pattern", period), n_layers)
    config.ignore("_sliding_window_pattern")  # what transformers saves whatever the layers are
    near = near_by_kinds(config, n_layers)
    if near is None:
        return pattern
    if config.has("sliding_window_pattern") and near != pattern:
        raise config.contradiction("layer_types and sliding_window_pattern differ")
    return near
