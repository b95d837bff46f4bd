"""The pictures of a card: each says in its title what is to be seen, and is drawn twice.

Once for a screen and once for a phone, so that letters keep their size; the style sheet shows one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from aboard.amounts import megabytes
from aboard.card.contents import Card, Rung
from aboard.card.curves import KL, PERPLEXITY, SAME_TOP, key_of, size_curve
from aboard.card.described import weights_by_format
from aboard.card.drawing import Box, Drawing, shown
from aboard.card.maps import (
    Cell,
    Step,
    bits_cells,
    format_bars,
    format_steps,
    layer_map,
    part_name,
    sensitivity_cells,
)
from aboard.card.spreads import change_spread, divergence_spread, sequence_pairs, task_differences
from aboard.card.words import percent
from aboard.evaluate import TaskScores, TextScores
from aboard.evaluate.perplexity import perplexity_of
from aboard.evaluate.text_scores import NEAR_LOSSLESS_KL

WIDE, NARROW = 720.0, 332.0
_HALF = (WIDE - 28) / 2

Draw = Callable[[float], Drawing]


def pictures(card: Card) -> list[str]:
    """The pictures of which there are data, as HTML."""
    found: list[str] = []
    if card.ladder:
        found += _ladder(card.ladder)
    evaluation = card.evaluation
    if evaluation is not None and evaluation.text is not None:
        found += _text(evaluation.text)
    if evaluation is not None and evaluation.tasks:
        found.append(_tasks(evaluation.tasks))
    if card.sensitivities:
        found += _sensitivities(card)
    if card.model.tensors and not card.ladder:
        found.append(_bits(card))
    return found


def picture(title: str, about: str, draw: Draw, *, wide: float = WIDE, below: str = "") -> str:
    """A picture with its title and what is shown."""
    both = draw(wide).svg("wide") + draw(NARROW).svg("narrow")
    return (
        f"<figure><figcaption><strong>{shown(title)}</strong>{shown(about)}</figcaption>"
        f"{both}{below}</figure>"
    )


def _ladder(rungs: Sequence[Rung]) -> list[str]:
    order = sorted(rungs, key=lambda each: each.size_bytes)
    near = [each for each in order if each.kl_mean < NEAR_LOSSLESS_KL]
    best = near[0] if near else min(rungs, key=lambda each: each.kl_mean)
    title = f"{megabytes(best.size_bytes)} ({best.name}) "
    title += (
        f"is the smallest that loses less than {NEAR_LOSSLESS_KL} nats"
        if near
        else f"loses least, {best.kl_mean:.2g} nats"
    )
    about = (
        "KL divergence from the source, nats a token, over the size; bars are 95 % intervals. "
        "Both axes are logarithmic. Below 0.01 nats KL divergence doesn't rank models."
    )
    key = "".join(f"<li>{_swatch(look)}{shown(words)}</li>" for look, words in key_of(rungs))
    found = [
        picture(
            title,
            about,
            partial(size_curve, rungs, KL, words=f"{title}. {about}", height=400),
            below=f'<ul class="key">{key}</ul>' if key else "",
        )
    ]
    small = (
        ("What it does to perplexity", "Perplexity above the source's.", PERPLEXITY),
        ("How often the next token stays", "Same likeliest token as the source.", SAME_TOP),
    )
    pair = [
        picture(
            title,
            f"{about} Over the size.",
            partial(size_curve, rungs, measure, words=f"{title}: {about}", height=270),
            wide=_HALF,
        )
        for title, about, measure in small
    ]
    found.append(f'<div class="pair-of">{"".join(pair)}</div>')
    if all(each.weights_by_format for each in rungs):
        found.append(
            picture(
                "Which formats hold the weights",
                "Shares of the weights of all matrices; the stronger the shade, the more bits.",
                lambda width: format_bars(order, width, "Formats of the weights of each size"),
                below=_key(format_steps(order)),
            )
        )
    return found


def _text(text: TextScores) -> list[str]:
    it = text.comparison
    if it is None:
        return []
    found = []
    if it.kl_max > 0:
        half = [
            picture(
                f"1 % of tokens diverge by more than {it.kl_p99:.2g} nats",
                "Tokens by their KL divergence, on a logarithmic axis.",
                lambda width: divergence_spread(it, width, "Tokens by their KL divergence"),
                wide=_HALF,
            ),
            picture(
                f"The true token loses {abs(it.worst_drop):.2f} or more at 1 % of places",
                "Tokens by the change of the true one's probability; shares on a logarithmic axis.",
                lambda width: change_spread(it, width, "Changes of the true token's probability"),
                wide=_HALF,
            ),
        ]
        found.append(f'<div class="pair-of">{"".join(half)}</div>')
    pairs = [each for each in text.sequences if each.reference_nats is not None]
    perplexities = [
        perplexity_of(n) for each in pairs for n in (each.nats, each.reference_nats or 0)
    ]
    ends = [*perplexities, it.ppl_ratio, *(it.ppl_ratio_ci95 or ())]
    if len(pairs) > 1 and it.kl_max > 0 and all(map(math.isfinite, ends)):
        worse = sum(each.nats > (each.reference_nats or 0) for each in pairs)
        found.append(
            picture(
                f"Perplexity is higher in {worse} of {len(pairs)} sequences",
                f"Each dot is a sequence of {text.window} tokens or less: how hard it is for the "
                "reference, and by how much harder for the model. The band is the 95 % interval "
                "over all tokens.",
                lambda width: sequence_pairs(
                    pairs, it.ppl_ratio, it.ppl_ratio_ci95, width, "Perplexity of sequences"
                ),
            )
        )
    return found


def _tasks(tasks: Sequence[TaskScores]) -> str:
    compared = [each.comparison for each in tasks if each.comparison is not None]
    if not compared:
        title, about = "Right answers by task", "Accuracy with its 95 % interval (Wilson)."
    else:
        worse = sum(each.difference_ci95[1] < 0 for each in compared)
        title = f"{worse} of {len(compared)} tasks became measurably worse"
        title = "No task became measurably worse" if not worse else title
        about = "Accuracy less the reference's, on the same questions, with its 95 % interval."
    return picture(title, about, lambda width: task_differences(tasks, width, title))


def _bits(card: Card) -> str:
    cells, steps = bits_cells(card.model.tensors)
    share = weights_by_format(card.model)
    main = max(share, key=lambda name: share[name])
    part = share[main] / sum(share.values())
    only = len(share) == 1
    title = (
        f"All matrices are {main}" if only else f"{main} holds {percent(part, 0)} of the weights"
    )
    about = "Bits a weight of each matrix, by layer; embedding and head beneath."
    return picture(title, about, _map(cells, title), below=_key(steps))


def _sensitivities(card: Card) -> list[str]:
    cells, steps = sensitivity_cells(card.sensitivities)
    if not cells:
        return []
    worst = max(card.sensitivities, key=lambda each: each.kl)
    forms = {each.format for each in card.sensitivities}
    total = sum(each.kl for each in card.sensitivities)
    name = part_name(worst.tensors)
    title = f"{name[:1].upper()}{name[1:]} costs most: {percent(worst.kl / total, 0)} of the sum"
    to = " or ".join(sorted(forms)) if len(forms) < 4 else "few bits"
    about = f"KL divergence where one part alone is rounded to {to}, by layer."
    return [picture(title, about, _map(cells, title), below=_ramp(steps))]


def _map(cells: Sequence[Cell], words: str) -> Draw:
    return lambda width: layer_map(cells, width, words)


def _key(steps: Sequence[Step]) -> str:
    """What shades stand for."""
    items = "".join(f"<li>{_swatch(f'shade{step.shade}')}{shown(step.text)}</li>" for step in steps)
    return f'<ul class="key">{items}</ul>'


def _ramp(steps: Sequence[Step]) -> str:
    """The shades side by side, with what the first, the middle and the last stand for."""
    items = []
    for step in steps:
        drawing = Drawing(40, 10, "")
        drawing.rect(Box(0, 0, 40, 10), f"shade{step.shade}")
        items.append(f"<li>{_decoration(drawing)}{shown(step.text)}</li>")
    return f'<ul class="key ramp">{"".join(items)}</ul>'


def _swatch(look: str) -> str:
    drawing = Drawing(13, 13, "")
    if look.startswith("shade"):
        drawing.rect(Box(0, 0, 13, 13), look, round=2)
    elif look == "other":
        drawing.dot((6.5, 6.5), 4.5, f"hollow {look}")
    elif look == "peer":
        drawing.diamond((6.5, 6.5), 6, f"mark {look}")
    else:
        drawing.dot((6.5, 6.5), 5, f"mark {look}")
    return _decoration(drawing)


def _decoration(drawing: Drawing) -> str:
    """A drawing that says nothing by itself."""
    return drawing.svg().replace('role="img" aria-label=""', 'aria-hidden="true"')
