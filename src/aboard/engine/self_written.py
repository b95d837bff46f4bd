"""What a model writes itself, for its calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aboard.engine.sampling import Sampling

if TYPE_CHECKING:
    from aboard.engine.model import Model

_KEPT_EVERY = 64  # tokens


class Kept(Protocol):
    """What an earlier run wrote; see `aboard.evaluate.unfinished.Unfinished`."""

    def known(self, of: str, number: int) -> Any | None:
        """What was added last, if anything was."""
        ...

    def add(self, of: str, number: int, figures: object) -> None:
        """Keep it."""
        ...


def write_on(
    model: Model,
    beginnings: Sequence[Sequence[int]],
    n_tokens: int,
    *,
    temperature: float = 1.0,
    kept: Kept | None = None,
    name: str = "written",
    told: Callable[[int], None] = lambda n_more: None,
) -> list[list[int]]:
    """How `model` goes on from each of `beginnings`, by `n_tokens` at most; always the same.

    Drawn from its whole distribution, by seeds that are the places in the list.

    Parameters
    ----------
    model : Model
        That writes.
    beginnings : sequence of sequence of int
        Token ids, some for each text.
    n_tokens : int
        Of each text, or fewer where the model ends it or its context does.
    temperature : float
        1 as the model is; lower varies less.
    kept : Kept, optional
        Knows what a run that was killed wrote, and is told now and then. A text goes on from there
        with the same tokens: what is drawn depends on seed and place alone.
    name : str
        Of these texts in `kept`.
    told : callable
        Called with the number of tokens that came.
    """
    writing = {}
    found: list[list[int]] = []
    with model.batch() as batch:
        for seed, beginning in enumerate(beginnings):
            before = None if kept is None else kept.known(name, seed)
            tokens, ended = before or ([], False)
            found.append(tokens)
            told(len(tokens))
            most = min(n_tokens, model.context_length - len(beginning)) - len(tokens)
            if most > 0 and not ended:
                request = batch.submit(
                    [*beginning, *tokens],
                    sampling=Sampling(temperature=temperature, seed=seed),
                    max_tokens=most,
                )
                writing[seed] = iter(request)
        # In turns, for they are written together: what is kept is then nearly all there is.
        while writing:
            for seed, steps in list(writing.items()):
                step = next(steps, None)
                if step is None:
                    del writing[seed]
                elif step.token not in model.tokenizer.stop_ids:
                    found[seed].append(step.token)
                    told(1)
                if kept is not None and (step is None or len(found[seed]) % _KEPT_EVERY == 0):
                    kept.add(name, seed, [found[seed], step is None])
    return found
