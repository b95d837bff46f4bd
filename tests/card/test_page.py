"""The page: well-formed, closed to the world, and with the very figures of the JSON."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from aboard.card import (
    Card,
    Rung,
    Sensitivity,
    card_of,
    card_of_quantized,
    describe_file,
    page,
    sensitivities_of,
    write_page,
)
from aboard.errors import ArtifactError
from aboard.evaluate import Evaluation, evaluate
from aboard.fitting import Budget, FittedPart, quantize_checkpoint
from card.pages import Page
from tiny_mixed import mixed

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='y'>&amp;\u202e\x07"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A tiny model, with a hostile name, against another: on a text and on two tasks."""
    folder = tmp_path_factory.mktemp("page")
    text, task = folder / "text.txt", folder / "task.jsonl"
    text.write_text("".join(chr(97 + i * i % 23) for i in range(1500)))
    lines = [
        json.dumps({"prompt": f"say {i}", "choices": ["ab", "ba"], "answer": i % 2})
        for i in range(12)
    ]
    task.write_text("\n".join(lines))
    names = {"general__name": HOSTILE, "general__license": HOSTILE, "general__author": HOSTILE}
    return evaluate(
        mixed(folder / "model.gguf", 0.1, **names),
        against=mixed(folder / "reference.gguf", 0.0),
        text=[text],
        tasks=[f"own={task}"],
        window=32,
        threads=1,
        resume=False,
    )


@pytest.fixture(scope="module")
def card(evaluation: Evaluation) -> Card:
    parts = [
        Sensitivity(tensors=(f"blk.{i}.ffn_down.weight",), format="Q4_0", kl=0.01 * (i + 1))
        for i in range(2)
    ]
    return card_of(evaluation, sensitivities=parts, notes=[HOSTILE], hashes={HOSTILE: HOSTILE})


def rungs() -> tuple[Rung, ...]:
    return tuple(
        Rung(
            name=f"{HOSTILE}{i}",
            way=("fitted", "plain", "peer")[i % 3],
            size_bytes=1_000_000 + 100_000 * i,
            bits_per_weight=4 + i / 2,
            weights_sha256="0" * 64,
            n_tokens=1000,
            perplexity=20.0 + i,
            ppl_ratio=1.1 - 0.01 * i,
            ppl_ratio_ci95=(1.0, 1.2),
            kl_mean=0.1 / 3**i,
            kl_ci95=(0.09 / 3**i, 0.11 / 3**i),
            same_top_fraction=0.9 + 0.01 * i,
            same_top_ci95=None,
            worst_drop=-0.1,
            flips_lost=3,
            flips_gained=2,
            verdict="measurable difference",
            command=HOSTILE,
            weights_by_format={"Q4_0": 800 - 100 * i, "Q8_0": 200, HOSTILE: 100 * i},
        )
        for i in range(6)
    )


def at(value: object, key: str) -> object:
    """What lies in JSON under names and numbers with points between."""
    for name in key.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]  # type: ignore[index]
    return value


def test_figures_are_those_of_the_json_to_the_last_digit(card: Card) -> None:
    told = json.loads(json.dumps(card.as_dict()))

    figures = Page(page(card)).figures

    assert len(figures) > 14
    for key, value in figures.items():
        assert float(value) == at(told, key)


def test_the_rungs_of_a_ladder_are_those_of_the_json(card: Card) -> None:
    laddered = replace(card, evaluation=None, ladder=rungs())
    told = json.loads(json.dumps(laddered.as_dict()))

    figures = Page(page(laddered)).figures

    assert len(figures) == 36
    for key, value in figures.items():
        assert float(value) == at(told, key)


def test_what_people_read_is_the_figure_rounded(card: Card) -> None:
    assert card.evaluation is not None
    assert card.evaluation.text is not None
    found = card.evaluation.text.comparison
    assert found is not None

    text = Page(page(card)).text

    assert f"{found.kl_mean:.5f}{found.kl_ci95[0]:.5f} to {found.kl_ci95[1]:.5f}" in text  # type: ignore[index]
    assert f"{100 * found.same_top_fraction:.2f}\u00a0%" in text


@pytest.mark.parametrize("laddered", [False, True])
def test_hostile_texts_stay_texts(card: Card, laddered: bool) -> None:
    shown = replace(card, ladder=rungs(), commands=(HOSTILE,)) if laddered else card

    html = page(shown)

    found = Page(html)
    names = {name for name, _ in found.elements}
    assert "script" not in names
    assert "img" not in names
    assert not [a for _, attrs in found.elements for a in attrs if a.startswith("on")]
    assert "\"><script>alert(1)</script><img src=x onerror='y'>&amp;\ufffd\ufffd" in found.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


def test_the_page_asks_for_nothing_and_allows_nothing(card: Card) -> None:
    html = page(card)

    found = Page(html)
    attributes = {name for _, attrs in found.elements for name in attrs}
    assert attributes.isdisjoint({"src", "href", "style", "srcset", "action", "xlink:href"})
    assert "url(" not in html
    assert "@import" not in html
    policy = str(found.named("meta")[1]["content"])
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_each_picture_is_drawn_for_screens_and_for_phones(card: Card) -> None:
    found = Page(page(card)).named("svg")

    kinds = [each.get("class") for each in found]
    assert kinds.count("wide") == kinds.count("narrow") == 6
    assert {each["width"] for each in found if each.get("class") == "narrow"} == {"332"}


def test_nothing_is_drawn_outside_its_picture(card: Card) -> None:
    inside: dict[str, str | None] = {}
    laddered = replace(card, evaluation=None, ladder=rungs())

    for name, attributes in [*Page(page(card)).elements, *Page(page(laddered)).elements]:
        inside = attributes if name == "svg" else inside
        for key, most in (("x", "width"), ("cx", "width"), ("y", "height"), ("cy", "height")):
            if key in attributes:
                assert 0 <= float(str(attributes[key])) <= float(str(inside[most]))


def test_the_same_card_gives_the_same_page(card: Card) -> None:
    assert page(card) == page(card)


def test_a_model_alone_has_a_page(evaluation: Evaluation, tmp_path: Path) -> None:
    alone = evaluate(
        evaluation.model.path, text=[Path(evaluation.model.path).with_name("text.txt")],
        window=32, threads=1, resume=False,
    )  # fmt: skip

    found = Page(page(card_of(alone)))

    assert "No reference" in found.text
    assert "evaluation.text.perplexity" in found.figures


def test_an_identical_model_is_called_so(evaluation: Evaluation) -> None:
    path = evaluation.model.path
    text = Path(path).with_name("text.txt")
    same = evaluate(path, against=path, text=[text], window=32, threads=1, resume=False)

    found = Page(page(card_of(same)))

    assert "Identical" in found.text


def test_a_file_by_itself_has_a_page(evaluation: Evaluation) -> None:
    found = Page(page(Card(model=describe_file(evaluation.model.path))))

    assert "Not evaluated" in found.text
    assert list(found.figures) == ["model.size_bytes", "model.bits_per_weight"]


@pytest.mark.parametrize("nats", [900.0, 1e30])
def test_a_broken_model_has_a_page(card: Card, nats: float) -> None:
    assert card.evaluation is not None
    text = card.evaluation.text
    assert text is not None
    assert text.comparison is not None
    broken = replace(
        text,
        perplexity=math.inf,
        perplexity_ci95=(5.0, math.inf),
        sequences=tuple(replace(each, nats=nats) for each in text.sequences),
        comparison=replace(
            text.comparison, ppl_ratio=math.inf, ppl_ratio_ci95=(5.0, math.inf), kl_mean=nats
        ),
    )

    found = Page(page(replace(card, evaluation=replace(card.evaluation, text=broken))))

    assert found.figures["evaluation.text.perplexity"] == "inf"
    assert "Perplexity is higher in" not in found.text


def test_a_ladder_with_a_broken_size_has_a_page(card: Card) -> None:
    sizes = rungs()
    worst = replace(sizes[0], ppl_ratio=math.inf, ppl_ratio_ci95=(5.0, math.inf), kl_mean=1e30)

    found = Page(page(replace(card, evaluation=None, ladder=(worst, *sizes[1:]))))

    assert found.figures["ladder.0.ppl_ratio"] == "inf"


def test_a_page_that_cannot_be_written_is_an_error(card: Card, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be written"):
        write_page(card, tmp_path / "missing" / "card.html")


def test_a_page_may_have_the_longest_name_there_is(card: Card, tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 250}.html"

    write_page(card, path)

    assert path.read_text("utf-8") == page(card)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_its_place_leaves_nothing(card: Card, tmp_path: Path) -> None:
    (tmp_path / "card.html").mkdir()

    with pytest.raises(ArtifactError, match="can't be written"):
        write_page(card, tmp_path / "card.html")

    assert [each.name for each in tmp_path.iterdir()] == ["card.html"]


def test_a_quantised_file_has_a_card_before_it_is_evaluated(tmp_path: Path) -> None:
    source = mixed(tmp_path / "source.gguf", 0.0)
    made = quantize_checkpoint(
        source, tmp_path / "small.gguf", Budget(bits=7), n_tokens=1024, threads=1
    )
    card = card_of_quantized(made, "aboard quantize source.gguf")
    told = json.loads(json.dumps(card.as_dict()))

    found = Page(page(card))

    assert float(found.figures["fitted.measured_kl"]) == made.measured_kl
    assert all(float(value) == at(told, key) for key, value in found.figures.items())
    assert made.sha256 in found.text
    assert "costs most: " in found.text


def test_parts_are_compared_at_about_as_many_bits() -> None:
    parts = [
        FittedPart(tensors=("blk.0.attn_q.weight",), measured={"IQ4_NL": 0.002}),
        FittedPart(tensors=("blk.0.ffn_down.weight",), measured={"Q3_K": 0.5, "Q4_K": 0.003}),
        FittedPart(tensors=("output.weight",), measured={}),
    ]

    assert [(each.format, each.kl) for each in sensitivities_of(parts)] == [
        ("IQ4_NL", 0.002),
        ("Q4_K", 0.003),
    ]


def test_a_ladder_names_the_smallest_size_without_a_difference(card: Card) -> None:
    sizes = [replace(each, name=f"size {i}") for i, each in enumerate(rungs())]
    sizes[3] = replace(sizes[3], verdict="no measurable difference")

    found = Page(page(replace(card, evaluation=None, ladder=tuple(sizes))))

    assert "1.3 MB (size 3) is the smallest of which no difference can be measured" in found.text
