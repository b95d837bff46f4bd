"""The models of a server: their names, where they compute, and the hash of what answers."""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from aboard.closing import Closing
from aboard.engine.attest import identity
from aboard.engine.embedding import EmbeddingModel
from aboard.errors import UsageError
from aboard.serve.defaults import Defaults
from aboard.serve.encoding import Encoding
from aboard.serve.refusals import Refusal

if TYPE_CHECKING:
    from aboard.engine import Model, Scheduler
    from aboard.engine.pinned import Pinned
    from aboard.engine.scheduler_batch import Load
    from aboard.serve.limits import Limits

ANY = "*"
"""The alias that every name is."""


class Served(Closing):
    """What is served under a name: a `ServedModel` or a `ServedEncoder`.

    Parameters
    ----------
    model : Model
        Loaded.
    name : str, optional
        By default its file's name without `.gguf`.
    aliases : iterable of str
        Other names that it answers to; `*` for any.
    defaults : Defaults, optional
        What is added to requests that don't say it.

    Attributes
    ----------
    created : int
        When it was loaded, in seconds since 1970.
    fingerprint : str
        The hash of all that decides its answers: weights, tokenizer, chat template, arithmetic,
        and its defaults.
    """

    def __init__(
        self,
        model: Model,
        name: str | None = None,
        aliases: Iterable[str] = (),
        defaults: Defaults | None = None,
    ) -> None:
        self.model = model
        self.defaults = defaults or Defaults()
        self.name = name or model.path.name.removesuffix(".gguf")
        self.aliases = tuple(aliases)
        self.created = int(time.time())
        self.identity = identity(model) | self.defaults.facts
        self.fingerprint = fingerprint(self.identity)

    @property
    @abstractmethod
    def load(self) -> Load:
        """How many requests are under way, and how many wait."""

    @abstractmethod
    def start(self, limits: Limits) -> None:
        """Begin to serve."""


class ServedModel(Served):
    """A model that makes text; as `Served`.

    Attributes
    ----------
    caches : mapping of str to Pinned
        Beginnings of prompts that are kept, by their names.
    """

    caches: Mapping[str, Pinned] = MappingProxyType({})
    _scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        """Where answers are computed; from `start` to `close`."""
        if self._scheduler is None:
            raise UsageError(f"{self.name} is not being served")
        return self._scheduler

    @property
    def load(self) -> Load:
        """How many answers are under way, and how many wait."""
        return self.scheduler.load

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


class ServedEncoder(Served):
    """A model that turns texts into vectors; as `Served`."""

    model: EmbeddingModel
    _encoding: Encoding | None = None

    @property
    def encoding(self) -> Encoding:
        """Where vectors are computed; from `start` to `close`."""
        if self._encoding is None:
            raise UsageError(f"{self.name} is not being served")
        return self._encoding

    @property
    def load(self) -> Load:
        """How many requests are under way, and how many wait."""
        return self.encoding.load

    def start(self, limits: Limits) -> None:
        """Begin to serve."""
        self._encoding = Encoding(self.model, max_waiting=limits.max_waiting)

    def close(self) -> None:
        """Cancel what is under way."""
        if self._encoding is not None:
            self._encoding.close()
            self._encoding = None


def served(
    model: Model,
    name: str | None = None,
    aliases: Iterable[str] = (),
    defaults: Defaults | None = None,
) -> Served:
    """A loaded model under a name, as the kind of model that it is.

    Raises
    ------
    UsageError
        It is an encoder, for which there are no defaults, or the defaults are not for this model.
    """
    if isinstance(model, EmbeddingModel):
        if defaults is not None and defaults != Defaults():
            raise UsageError(
                f"{name or model.path.name} is an encoder, which has no sampling and no "
                "chat_template_kwargs"
            )
        return ServedEncoder(model, name, aliases)
    if defaults is not None:
        try:
            defaults.require_fit(model)
        except UsageError as error:
            raise UsageError(f"{name or model.path.name}: {error}") from None
    return ServedModel(model, name, aliases, defaults)


Kind = TypeVar("Kind", ServedModel, ServedEncoder)


class ServedModels(Closing):
    """All models of a server.

    Raises
    ------
    UsageError
        There is none, or two have the same name; `*` may be one of each kind.
    """

    def __init__(self, models: Sequence[Served]) -> None:
        if not models:
            raise UsageError("there is no model to serve")
        self._by_name: dict[str, Served] = {}
        self._any: dict[type[Served], Served] = {}
        self.all = tuple(models)
        require_different([name for model in models for name in (model.name, *model.aliases)])
        for model in models:
            for name in (model.name, *model.aliases):
                if name != ANY:
                    self._by_name[name] = model
                elif type(model) in self._any:
                    raise UsageError(f"two models are called {name!r}")
                else:
                    self._any[type(model)] = model

    @property
    def names(self) -> dict[str, Served]:
        """Every name and alias, but for `*`."""
        return dict(self._by_name)

    @property
    def first(self) -> Served:
        """The one that is meant where none is named."""
        return self.all[0]

    def of_any_kind(self, name: str) -> Served:
        """What has a name.

        Raises
        ------
        Refusal
            Nothing has.
        """
        found = self._by_name.get(name) or next(iter(self._any.values()), None)
        if found is None:
            raise self._unknown(name)
        return found

    def named(self, name: str | None) -> ServedModel:
        """The model of a name that makes text; the first that does where none is given.

        Raises
        ------
        Refusal
            There is none, or it is an encoder.
        """
        return self._of_kind(
            ServedModel,
            name,
            "is an encoder, which makes no text: ask /v1/embeddings for its vectors",
        )

    def encoder(self, name: str | None) -> ServedEncoder:
        """The encoder of a name; the first where none is given.

        Raises
        ------
        Refusal
            There is none, or the model is none.
        """
        return self._of_kind(
            ServedEncoder, name, "makes text and no vectors: an encoder has to be served beside it"
        )

    def _of_kind(self, kind: type[Kind], name: str | None, otherwise: str) -> Kind:
        if name is None:
            name = next((each.name for each in self.all if isinstance(each, kind)), self.first.name)
        found = self._by_name.get(name) or self._any.get(kind)
        if found is None:
            raise self._unknown(name)
        if isinstance(found, kind):
            return found
        others = [known for known, each in self._by_name.items() if isinstance(each, kind)]
        there = f" (there is {', '.join(others)})" if others else ""
        raise Refusal(
            400,
            f"{name!r} {otherwise}{there}",
            code="unsupported_model",
            param="model",
        )

    def _unknown(self, name: str) -> Refusal:
        return Refusal(
            404,
            f"the model {name!r} does not exist here; there are {', '.join(self.names)}",
            code="model_not_found",
            param="model",
        )

    def start(self, limits: Limits) -> None:
        """Begin to serve all of them."""
        for model in self.all:
            model.start(limits)

    def close(self) -> None:
        """Cancel what is under way."""
        for model in self.all:
            model.close()


def require_different(names: Sequence[str]) -> None:
    """Refuse names and aliases of models of which two are the same; several may be `*`.

    Raises
    ------
    UsageError
        Two are.
    """
    for at, name in enumerate(names):
        if name != ANY and name in names[:at]:
            raise UsageError(f"two models are called {name!r}")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """`fp_` and half of the SHA-256 of the facts, as JSON with sorted keys and no white space."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
