"""Answers to questions against plain NumPy over the model's own logits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.errors import UsageError
from aboard.evaluate import evaluate
from tiny import tiny_llama


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def plain_score(model: aboard.Model, context: str, rest: str) -> float:
    ids = list((context + rest).encode())
    rows = log_softmax(model.logits(ids))
    return sum(rows[i - 1, ids[i]] for i in range(len(context.encode()), len(ids)))


def test_answers_are_those_of_plain_numpy(near: Path, reference: Path, tasks: Path) -> None:
    records = [json.loads(line) for line in tasks.read_text().splitlines()]
    right, right_norm = [], []
    for path in (near, reference):
        model = aboard.load(path)
        scores = [
            [plain_score(model, each["prompt"], f" {choice}") for choice in each["choices"]]
            for each in records
        ]
        lengths = [[len(choice) for choice in each["choices"]] for each in records]
        answers = [each["answer"] for each in records]
        right.append(np.argmax(scores, axis=1) == answers)
        right_norm.append(np.argmax(np.array(scores) / lengths, axis=1) == answers)

    found = evaluate(near, against=reference, tasks=[f"mine={tasks}"])

    (task,) = found.tasks
    assert found.text is None
    assert task.correct == tuple(right[0].tolist())
    assert task.reference_correct == tuple(right[1].tolist())
    assert task.accuracy_norm == pytest.approx(right_norm[0].mean())
    assert task.comparison is not None
    assert task.comparison.lost == (right[1] & ~right[0]).sum()
    assert task.comparison.gained == (right[0] & ~right[1]).sum()
    assert task.comparison.difference == pytest.approx(right[0].mean() - right[1].mean())


def test_a_continuation_is_right_where_the_model_says_it(near: Path, tmp_path: Path) -> None:
    model = aboard.load(near)
    prompts = [f"{i}\n" for i in range(200)]
    tops = [int(model.logits(list(each.encode()))[-1].argmax()) for each in prompts]
    prompt, top = next(
        (prompt, chr(top))
        for prompt, top in zip(prompts, tops, strict=True)
        if ord("!") <= top <= ord("~")
    )
    other = "a" if top != "a" else "b"
    records = [{"prompt": prompt, "continuation": each} for each in (top, other)]
    path = tmp_path / "said.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))

    (task,) = evaluate(near, tasks=[f"said={path}"]).tasks

    scores = [plain_score(model, prompt, each) for each in (top, other)]
    assert task.correct == (True, False)
    assert task.perplexity == pytest.approx(math.exp(-np.mean(scores)))


def test_a_question_beyond_the_context_is_named(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "a" * 1100, "choices": ["b", "c"], "answer": 0}))

    with pytest.raises(UsageError, match=r"line 1: .*the context holds 1024"):
        evaluate(tiny_llama(tmp_path / "tiny.gguf"), tasks=[f"long={path}"])
