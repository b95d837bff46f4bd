"""Named caches: beginnings of prompts that are read before the server listens, and kept."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic_core import from_json

from aboard.engine.opening import conversation_opening, text_opening
from aboard.engine.pinned import Pinned, pin_beginning
from aboard.errors import AboardError, NotEnoughMemory, UsageError
from aboard.serve.body import Body, understood
from aboard.serve.chat import template_messages
from aboard.serve.chat_bodies import Message
from aboard.serve.refusals import Refusal
from aboard.serve.served import ServedModel

if TYPE_CHECKING:
    from aboard.serve.served import ServedModels

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What prompts begin with: a text that is continued, or the messages of a conversation.

    Attributes
    ----------
    name : str
        What the cache is called.
    model : str or None
        A name or an alias; None: the only model that makes text.
    text : str, optional
        Of prompts that are continued as they stand.
    messages : sequence of mappings, optional
        As chat templates take them.
    """

    name: str
    model: str | None = None
    text: str | None = None
    messages: Sequence[dict[str, Any]] = ()

    def tokens(self, served: ServedModel, day: date) -> list[int]:
        """The tokens that every such prompt begins with on `day`.

        Raises
        ------
        AboardError
            The model has no chat template or no tokenizer, or the template refuses the messages.
        """
        if self.text is not None:
            return text_opening(served.model, self.text)
        variables = served.defaults.template_kwargs
        return conversation_opening(served.model, self.messages, day, variables)


class _Conversation(Body):
    """What a file of messages holds, under the name that a request gives it."""

    messages: Annotated[list[Message], Field(min_length=1)]


def messages_in(text: str) -> list[dict[str, Any]]:
    """The messages of a JSON list, written as in a request, for a chat template.

    Raises
    ------
    UsageError
        It is no such list.
    """
    try:
        found = from_json(text)
    except ValueError as error:
        raise UsageError(f"is no JSON: {error}") from None
    try:
        body = understood(_Conversation, json.dumps({"messages": found}).encode())
        return template_messages(body.messages)
    except Refusal as refusal:
        raise UsageError(str(refusal), hint="Write a list as in a request's messages.") from None


def require_places(beginnings: Sequence[Beginning], names: Iterable[str]) -> None:
    """Refuse caches of which two have one name, or one is of a model that has none of `names`.

    Raises
    ------
    UsageError
        Two have, or one is.
    """
    known = list(names)
    for at, each in enumerate(beginnings):
        if each.name in [earlier.name for earlier in beginnings[:at]]:
            raise UsageError(f"two caches are called {each.name!r:.80}")
        if each.model is not None and each.model not in known:
            raise UsageError(
                f"cache {each.name!r:.80} is of {each.model!r:.80}, which is not served; there are "
                f"{', '.join(known)}"
            )


def require_folder(folder: Path) -> None:
    """Make the folder of states, for this user only, if it isn't there.

    Raises
    ------
    UsageError
        It can't be made or used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder}: can't be made: {reason}") from None
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(f"{folder}: can't be read")


def keep(
    models: ServedModels, beginnings: Sequence[Beginning], folder: Path | None, day: date | None
) -> None:
    """Have the models keep what prompts begin with; what comes of it stands in the log.

    Parameters
    ----------
    models : ServedModels
    beginnings : sequence of Beginning
        `require_places` has looked at them.
    folder : Path, optional
        Where their states lie between starts; without it they are computed at each.
    day : date, optional
        What chat templates tell the model; by default today, with a warning where one tells it.

    Raises
    ------
    AboardError
        One can't be kept: it is too long or too short, or not for its model.
    """
    for each in beginnings:
        try:
            served = _served(models, each)
            tokens = each.tokens(served, day or date.today())
            facts = {"cache": each.name, "model": served.name}
            _log.info("reading cache", extra={"facts": {**facts, "tokens": len(tokens)}})
            pinned = pin_beginning(served.model, tokens, folder)
        except NotEnoughMemory:
            raise
        except (AboardError, Refusal) as error:
            hint = getattr(error, "hint", None)
            raise UsageError(f"cache {each.name!r:.80}: {error}", hint=hint) from None
        served.caches = {**served.caches, each.name: pinned}
        _tell(each.name, served, pinned)
        template = served.model.chat_template
        if day is None and each.text is None and template is not None and template.may_tell_date:
            _log.warning("cache is of today, whose date the template tells", extra={"facts": facts})


def _served(models: ServedModels, beginning: Beginning) -> ServedModel:
    if beginning.model is None:
        making = [each.name for each in models.all if isinstance(each, ServedModel)]
        if len(making) > 1:
            raise UsageError(
                f"names no model, and there are {', '.join(making)}",
                hint="Name one in aboard.toml: [[serve.caches]] with model.",
            )
    return models.named(beginning.model)


def _tell(name: str, served: ServedModel, pinned: Pinned) -> None:
    facts: dict[str, object] = {"cache": name, "model": served.name}
    if pinned.unsound is not None:
        reason = {"reason": pinned.unsound}
        _log.warning("cache file not used", extra={"facts": facts | reason})
    if pinned.unwritten is not None:
        reason = {"reason": pinned.unwritten}
        _log.warning("cache file not written", extra={"facts": facts | reason})
    facts |= {
        "tokens": pinned.n_tokens,
        "size_bytes": pinned.size_bytes,
        "source": pinned.source,
        "file": None if pinned.path is None else str(pinned.path),
    }
    _log.info("cache kept", extra={"facts": facts})
