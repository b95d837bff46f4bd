"""What a server adds to requests that don't say it themselves, by model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from aboard.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from aboard.engine import Model

Request = TypeVar("Request", bound="BaseModel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Of one model.

    Attributes
    ----------
    sampling : mapping
        By the names of `Sampling`, and `max_tokens`.
    template_kwargs : mapping
        Variables of the chat template; those of a request go before them.
    """

    sampling: Mapping[str, float] = field(default_factory=dict)
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what no request could say.

        Raises
        ------
        UsageError
            A value is out of its range, or a variable can't be set.
        """
        from aboard.checkpoint.chat_template_values import freeze
        from aboard.engine import Sampling
        from aboard.engine.replying import variables_of

        given: dict[str, Any] = dict(self.sampling)
        if given.pop("max_tokens", 1) < 1:
            raise UsageError(f"max_tokens is {self.sampling['max_tokens']}, expected at least 1")
        Sampling(**given)
        freeze(variables_of(self.template_kwargs), "chat_template_kwargs")

    def require_fit(self, model: Model) -> None:
        """Refuse what would have every request refused that doesn't say otherwise.

        Raises
        ------
        UsageError
            `max_tokens` leaves no room for a prompt, or a variable spells out a control token.
        """
        from aboard.engine.replying import require_no_control

        most, context = self.sampling.get("max_tokens", 0), model.context_length
        if most >= context:
            raise UsageError(
                f"max_tokens is {most}, which leaves no room for a prompt in a context of {context}"
            )
        require_no_control(model.tokenizer, (), (), self.template_kwargs)

    @property
    def facts(self) -> dict[str, Any]:
        """Those there are, under their names in `aboard.toml`."""
        named = {"sampling": self.sampling, "chat_template_kwargs": self.template_kwargs}
        return {name: dict(given) for name, given in named.items() if given}

    def variables(self, own: Mapping[str, object]) -> dict[str, object]:
        """Those of the chat template for a request that has its `own`."""
        return {**self.template_kwargs, **own}

    def into(self, body: Request, **renamed: str) -> Request:
        """A request with what it leaves out, as far as it has a field for it.

        Parameters
        ----------
        body : BaseModel
            The request.
        **renamed : str
            What the request calls a default, where that is another name.
        """
        said, known = body.model_fields_set, type(body).model_fields
        named = {renamed.get(name, name): value for name, value in self.sampling.items()}
        more = {name: value for name, value in named.items() if name in known and name not in said}
        return body.model_copy(update=more)
