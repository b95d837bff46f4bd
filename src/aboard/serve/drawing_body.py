"""The parameters of all routes that ask a model for text: how tokens are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from aboard.serve.body import WHOLE, Body, few
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.engine import Sampling

TokenId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
Biases = Annotated[dict[TokenId, Bias], Field(max_length=1024), few(1024, "tokens")]

ModelName = Annotated[
    str | None,
    Field(description="A name of `/v1/models`; by default the first that makes text."),
]


class DrawingBody(Body):
    """A model, and how its tokens are drawn; what a cloud API lacks of these is beyond it."""

    model: ModelName = None
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, ge=0, le=1)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    logit_bias: Biases = Field(
        default_factory=dict, description="Token ids, and what is added to their logits."
    )
    seed: Annotated[int, Field(ge=-(1 << 63), le=(1 << 63) - 1), WHOLE] | None = Field(
        default=None,
        description="Names the random numbers; the same seed gives the same answer. Choice i is "
        "drawn with seed + i. By default another one each time.",
    )
    top_k: Annotated[int, Field(ge=0, le=(1 << 31) - 1), WHOLE] = Field(
        default=0, description="0 is off."
    )
    min_p: float = Field(default=0.0, ge=0, le=1, description="Beyond the cloud API; 0 is off.")
    repetition_penalty: float = Field(
        default=1.0, gt=0, le=10, description="Beyond the cloud API; 1 is off."
    )

    def sampling(self, n_vocabulary: int) -> Sampling:
        """How tokens are drawn, but for the seed.

        Raises
        ------
        Refusal
            `logit_bias` names a token that is none.
        """
        from aboard.engine import Sampling

        names = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        bias = {int(token): value for token, value in self.logit_bias.items()}
        if max(bias, default=0) >= n_vocabulary:
            raise Refusal(
                400,
                f"logit_bias: there is no token {max(bias)}, expected 0 to {n_vocabulary - 1}",
                code="invalid_value",
                param="logit_bias",
            )
        return Sampling(
            **fields,
            repetition_penalty=self.repetition_penalty,
            logit_bias=bias or None,
        )
