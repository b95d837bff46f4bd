"""What callers may pass as `speculate`, made a drafter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aboard.engine.speculation import Drafter
from aboard.engine.speculation_draft import DraftModel
from aboard.engine.speculation_lookup import PromptLookup
from aboard.errors import UsageError

if TYPE_CHECKING:
    from aboard.engine.model import Model


def checked_drafter(speculate: Drafter | Model | str | None, model: Model) -> Drafter | None:
    """The drafter that `speculate` names, for answers of `model`; None for none.

    Raises
    ------
    UsageError
        It names none, or a draft model whose tokenizer is another.
    """
    if speculate is None:
        return None
    if speculate == "prompt":
        return PromptLookup()
    from aboard.engine.model import Model

    drafter = DraftModel(speculate) if isinstance(speculate, Model) else speculate
    if isinstance(drafter, DraftModel):
        drafter.check_fits(model)
    if isinstance(drafter, type) or not isinstance(drafter, Drafter):
        raise UsageError(f"speculate is {speculate!r:.80}, expected 'prompt', a model or a drafter")
    return drafter
