"""Rotary embedding in a config.json: `rope_theta`, with `rope_scaling` or `rope_parameters`.

transformers up to 4 writes `rope_theta` and `rope_scaling`, from 5 on `rope_parameters` with all of
it; "type" is the older name of "rope_type".
"""

from __future__ import annotations

import math

import numpy as np

from aboard.errors import ConfigError
from aboard.models.config import Config
from aboard.models.conversion import Float32


class RopeConfig:
    """What a config says about rotary embedding; its members are read by `base`, `kind` and more.

    Parameters
    ----------
    config : Config
        Of the model.
    default_base : float
        The base where nothing says it.
    own : Config, optional
        What one kind of layers has in `rope_parameters`, where each kind has its own.
    base_name : str
        The member of `config` that gives the base as well.

    Attributes
    ----------
    base : float
        The base of the frequencies.
    kind : str
        "default", "linear", "llama3", ...
    scaling : Config
        What else belongs to that kind; whoever understands it reads it and calls `finish`.

    Raises
    ------
    ConfigError
        Two places say different things.
    """

    def __init__(
        self,
        config: Config,
        default_base: float,
        *,
        own: Config | None = None,
        base_name: str = "rope_theta",
    ) -> None:
        self.scaling = own if own is not None else self._of_all_layers(config)
        self.kind = self.scaling.text("rope_type", self.scaling.text("type", "default"))
        if self.scaling.text("type", self.kind) != self.kind:
            raise self.scaling.contradiction("rope_type and type differ")
        inner = self.scaling.number("rope_theta", config.number(base_name, default_base))
        self.base = config.number(base_name, inner)
        if self.base != inner:
            raise config.contradiction(f"{base_name} is both {self.base:g} and {inner:g}")

    def require(self, *kinds: str) -> None:
        """Refuse a rope of another kind.

        Raises
        ------
        ConfigError
            It is none of `kinds`.
        """
        if self.kind not in kinds:
            raise ConfigError(
                f"{self.scaling.where}: rope_type is {self.kind[:40]!r}, Aboard understands "
                f"{' or '.join(map(repr, kinds))}",
                hint="The positions would be wrong, and with them the answers.",
            )

    def llama3_divisors(self, rotated_dims: int) -> Float32:
        """What Llama 3.1 divides each frequency by, (rotated_dims / 2,).

        Slow rotations are divided by the factor, fast ones not at all, and what is between by
        something between, as to how often they turn in the original context.
        """
        scaling = self.scaling
        factor = scaling.number("factor")
        low, high = scaling.number("low_freq_factor"), scaling.number("high_freq_factor")
        context = scaling.integer("original_max_position_embeddings")
        if not low < high:
            raise scaling.contradiction(
                f"low_freq_factor {low:g} isn't below high_freq_factor {high:g}"
            )
        exponents = np.arange(0, rotated_dims, 2) / rotated_dims
        turns = context / (2 * math.pi * self.base**exponents)
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)

    @staticmethod
    def _of_all_layers(config: Config) -> Config:
        scaling, parameters = config.nested("rope_scaling"), config.nested("rope_parameters")
        if scaling is not None and parameters is not None and not scaling.equals(parameters):
            raise config.contradiction("rope_scaling and rope_parameters differ")
        return parameters or scaling or Config({}, config.where)
