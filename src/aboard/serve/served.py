"""The models of a server: their names, their schedulers, and the hash of what answers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aboard.closing import Closing
from aboard.engine.attest import identity
from aboard.errors import UsageError
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.engine import Model, Scheduler
    from aboard.serve.limits import Limits

ANY = "*"
"""The alias that every name is."""


class ServedModel(Closing):
    """A model under a name.

    Parameters
    ----------
    model : Model
        Loaded.
    name : str, optional
        By default its file's name without `.gguf`.
    aliases : iterable of str
        Other names that it answers to; `*` for any.

    Attributes
    ----------
    created : int
        When it was loaded, in seconds since 1970.
    fingerprint : str
        The hash of all that decides its answers: weights, tokenizer, chat template, arithmetic.
    """

    def __init__(self, model: Model, name: str | None = None, aliases: Iterable[str] = ()) -> None:
        self.model = model
        self.name = name or model.path.name.removesuffix(".gguf")
        self.aliases = tuple(aliases)
        self.created = int(time.time())
        self.identity = identity(model)
        self.fingerprint = fingerprint(self.identity)
        self._scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        """Where answers are computed; from `start` to `close`."""
        if self._scheduler is None:
            raise UsageError(f"{self.name} is not being served")
        return self._scheduler

    def start(self, limits: Limits) -> None:
        """Begin to serve."""
        self._scheduler = self.model.batch(
            max_sequences=limits.max_sequences,
            max_waiting=limits.max_waiting,
            step_s=limits.step_s,
        )

    def close(self) -> None:
        """Cancel what is under way."""
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler = None


class ServedModels(Closing):
    """All models of a server.

    Raises
    ------
    UsageError
        There is none, or two have the same name.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        if not models:
            raise UsageError("there is no model to serve")
        self._by_name: dict[str, ServedModel] = {}
        self.all = tuple(models)
        require_different([name for model in models for name in (model.name, *model.aliases)])
        for model in models:
            self._by_name |= dict.fromkeys((model.name, *model.aliases), model)

    @property
    def names(self) -> dict[str, ServedModel]:
        """Every name and alias, but for `*`."""
        return {name: model for name, model in self._by_name.items() if name != ANY}

    @property
    def first(self) -> ServedModel:
        """The one that is meant where none is named."""
        return self.all[0]

    def named(self, name: str) -> ServedModel:
        """The model of a name.

        Raises
        ------
        Refusal
            There is none.
        """
        found = self._by_name.get(name) or self._by_name.get(ANY)
        if found is None:
            raise Refusal(
                404,
                f"the model {name!r} does not exist here; there are {', '.join(self.names)}",
                code="model_not_found",
                param="model",
            )
        return found

    def start(self, limits: Limits) -> None:
        """Begin to serve all of them."""
        for model in self.all:
            model.start(limits)

    def close(self) -> None:
        """Cancel what is under way."""
        for model in self.all:
            model.close()


def require_different(names: Sequence[str]) -> None:
    """Refuse names and aliases of models of which two are the same.

    Raises
    ------
    UsageError
        Two are.
    """
    for at, name in enumerate(names):
        if name in names[:at]:
            raise UsageError(f"two models are called {name!r}")


def fingerprint(facts: dict[str, str | int | None]) -> str:
    """`fp_` and half of the SHA-256 of the facts, as JSON with sorted keys and no white space."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
