"""Rotary embedding in a config.json: `rope_theta`, with `rope_scaling` or `rope_parameters`.

transformers up to 4 writes `rope_theta` and `rope_scaling`, from 5 on `rope_parameters` with all of
it; "type" is the older name of "rope_type", "su" that of "longrope". What lies in them may lie
beside them as well, and must be the same there.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aboard.errors import ConfigError
from aboard.models.config import Config
from aboard.models.conversion import Float32

_OLD_NAMES = {"su": "longrope"}


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
        "default", "linear", "llama3", "yarn", "longrope", ...
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
        self._config = config
        self.scaling = own if own is not None else self._of_all_layers(config)
        kind = self.scaling.text("rope_type", self.scaling.text("type", "default"))
        self.kind = _OLD_NAMES.get(kind, kind)
        other = self.scaling.text("type", kind)
        if _OLD_NAMES.get(other, other) != self.kind:
            raise self.scaling.contradiction("rope_type and type differ")
        self.base = self._either("rope_theta", default_base, outer_name=base_name)

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

    def rotated_dims(self, head_dim: int, *, partial: bool = False) -> int:
        """How many values of a head are rotated; with `partial` it may be a part of them.

        Raises
        ------
        ConfigError
            It is a part without `partial`, an odd number, or more than there are.
        """
        if not partial:
            for each in (self._config, self.scaling):
                each.must_be("partial_rotary_factor", 1.0)
            return head_dim
        factor = self._either("partial_rotary_factor", 1.0)
        dims = int(head_dim * min(factor, 1.0))
        if factor > 1 or dims < 2 or dims % 2:
            raise self._config.contradiction(
                f"partial_rotary_factor is {factor:g}, which rotates {dims} of {head_dim} values "
                "of a head, expected an even number of them"
            )
        return dims

    def original_context(self, default: int) -> int:
        """How many tokens the model saw before its rope was stretched.

        Raises
        ------
        ConfigError
            Two places say different things.
        """
        name = "original_max_position_embeddings"
        inner = self.scaling.integer(name, self._config.integer(name, default, low=2), low=2)
        self._must_agree(name, inner, self._config.integer(name, inner, low=2))
        return inner

    def yarn(self, context: int) -> dict[str, object]:
        """YaRN (arXiv:2309.00071) as GGUF has it, without the architecture in the names.

        `context`: `max_position_embeddings`. Cosine and sine grow by `attention_factor`, or as two
        `mscale`s say, or by 0.1 ln(factor) + 1, which is what GGUF means where it says nothing.
        """
        scaling = self.scaling
        original = self.original_context(context)
        factor = scaling.number("factor", context / original)
        if factor < 1:
            raise scaling.contradiction(f"factor is {factor:g}, which stretches nothing")
        scaling.must_be("truncate", True)
        found: dict[str, object] = {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": factor,
            "rope.scaling.original_context_length": original,
        }
        found |= self._yarn_betas()
        scale = scaling.number("mscale", 0.0, zero=True)
        divisor = scaling.number("mscale_all_dim", 0.0, zero=True)
        if scaling.has("attention_factor"):
            found["rope.scaling.yarn_attn_factor"] = scaling.number("attention_factor")
        elif scale == 1 and divisor:
            found["rope.scaling.yarn_log_multiplier"] = divisor
        elif scale and divisor:
            log = 0.1 * math.log(factor)
            growth = (log * scale + 1) / (log * divisor + 1)
            found["rope.scaling.yarn_attn_factor"] = growth
        return found

    def longrope_growth(self, context: int, original: int) -> float:
        """What LongRoPE (arXiv:2402.13753) multiplies cosine and sine by.

        `context` and `original`: the tokens the model sees, and saw before it was stretched.
        """
        factor = self.scaling.number("factor", context / original)
        grown = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
        return self.scaling.number("attention_factor", grown)

    def longrope_divisors(self, rotated_dims: int) -> dict[str, Float32]:
        """What LongRoPE divides frequencies by, in short contexts and in long ones, by tensor."""
        return {
            f"rope_factors_{length}.weight": self._stored(
                np.array(self.scaling.numbers(f"{length}_factor", rotated_dims // 2))
            )
            for length in ("long", "short")
        }

    def llama3_divisors(self, rotated_dims: int, context: int) -> Float32:
        """What Llama 3.1 divides each frequency by, (rotated_dims / 2,).

        Slow rotations are divided by the factor, fast ones not at all, and what is between by
        something between, as to how often they turn in the original context: `context`, which is
        `max_position_embeddings`, where nothing says it.
        """
        scaling = self.scaling
        factor = scaling.number("factor")
        low, high = scaling.number("low_freq_factor"), scaling.number("high_freq_factor")
        context = self.original_context(context)
        if not low < high:
            raise scaling.contradiction(
                f"low_freq_factor {low:g} isn't below high_freq_factor {high:g}"
            )
        exponents = np.arange(0, rotated_dims, 2) / rotated_dims
        turns = context / (2 * math.pi * self.base**exponents)
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        with np.errstate(divide="ignore", over="ignore"):
            return self._stored(1 / ((1 - smooth) / factor + smooth))

    def _stored(self, divisors: npt.NDArray[np.float64]) -> Float32:
        """The divisors in float32, in which they must still be numbers above 0."""
        with np.errstate(over="ignore", under="ignore"):
            found = divisors.astype(np.float32)
        if not (np.isfinite(found) & (found > 0)).all():
            raise self.scaling.contradiction(
                f"frequencies would be divided by {divisors.max():g} and {divisors.min():g}, "
                "beyond float32"
            )
        return found

    def _yarn_betas(self) -> dict[str, object]:
        """Where fast turns end and slow ones begin, if it is told; 0 tells nothing."""
        told = {
            name: self.scaling.number(name, 0.0, zero=True) for name in ("beta_fast", "beta_slow")
        }
        if (told["beta_fast"] or 32.0) < (told["beta_slow"] or 1.0):
            raise self.scaling.contradiction("beta_fast is below beta_slow")
        return {f"rope.scaling.yarn_{name}": beta for name, beta in told.items() if beta}

    def _either(self, name: str, default: float, *, outer_name: str | None = None) -> float:
        """A number that may lie in the parameters, beside them, or in both alike."""
        outer_name = outer_name or name
        inner = self.scaling.number(name, self._config.number(outer_name, default))
        self._must_agree(outer_name, inner, self._config.number(outer_name, inner))
        return inner

    def _must_agree(self, name: str, inner: float, outer: float) -> None:
        if outer != inner:
            raise self._config.contradiction(f"{name} is both {outer:g} and {inner:g}")

    @staticmethod
    def _of_all_layers(config: Config) -> Config:
        scaling, parameters = config.nested("rope_scaling"), config.nested("rope_parameters")
        if scaling is not None and parameters is not None and not scaling.equals(parameters):
            raise config.contradiction("rope_scaling and rope_parameters differ")
        return parameters or scaling or Config({}, config.where)
