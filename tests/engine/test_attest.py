"""Attestations: equal where two machines compute the same, and telling where they don't."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from aboard.cli.app import app
from aboard.engine import Model, load
from aboard.engine.attest import N_GENERATED, PROMPTS, attest, check
from aboard.errors import AttestationMismatch, UsageError
from tiny import tiny_llama


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("attested") / "tiny.gguf", fmt="Q8_0", context=512)


@pytest.fixture(scope="module")
def model(file: Path) -> Model:
    return load(file, threads=1)


@pytest.fixture(scope="module")
def attested(model: Model) -> dict[str, Any]:
    return asdict(attest(model))


@pytest.fixture
def kept(attested: dict[str, Any], tmp_path: Path) -> Path:
    return kept_as(tmp_path / "there.json", attested)


def kept_as(path: Path, facts: object) -> Path:
    path.write_text(json.dumps(facts))
    return path


def test_the_hashes_are_those_of_tokens_and_logits(model: Model, attested: dict[str, Any]) -> None:
    tokens, logits = hashlib.sha256(), hashlib.sha256()
    for prompt in PROMPTS:
        ids = model.tokenizer.encode(prompt)
        with model.session() as session:
            for _ in range(N_GENERATED):
                rows = session.logits(ids)
                ids = [*ids, int(np.argmax(rows[-1]))]
                session.reset()
            rows = session.logits(ids)
        tokens.update(np.asarray(ids, "<i4").tobytes())
        logits.update(rows.astype("<f4").tobytes())

    assert attested["tokens_sha256"] == tokens.hexdigest()
    assert attested["logits_sha256"] == logits.hexdigest()
    assert len(set(attested["by_prompt"])) == len(PROMPTS)


def test_another_number_of_threads_attests_the_same(file: Path, kept: Path) -> None:
    assert check(load(file, threads=2), kept) == attest(load(file, threads=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights_sha256", "0" * 64),
        ("config_sha256", "0" * 64),
        ("tokenizer_sha256", "0" * 64),
        ("template_sha256", None),
        ("numerics_version", 99),
        ("kv", "int8"),
        ("activations", "float32"),
        ("rope", "long"),
        ("prompts_sha256", "0" * 64),
        ("tokens_sha256", "0" * 64),
        ("logits_sha256", "0" * 64),
    ],
)
def test_a_difference_is_told_by_name(
    model: Model, attested: dict[str, Any], tmp_path: Path, name: str, value: object
) -> None:
    file = kept_as(tmp_path / "there.json", attested | {name: value})

    with pytest.raises(AttestationMismatch, match=f"{name} is .* here, .* in .*there.json"):
        check(model, file)


def test_the_first_prompt_that_differs_is_told(
    model: Model, attested: dict[str, Any], tmp_path: Path
) -> None:
    by_prompt = [*attested["by_prompt"][:2], "0" * 64, "1" * 64, "2" * 64]
    file = kept_as(
        tmp_path / "there.json",
        attested | {"logits_sha256": "0" * 64, "by_prompt": by_prompt},
    )

    with pytest.raises(AttestationMismatch, match="prompt 3 is the first that differs"):
        check(model, file)


def test_a_file_of_before_hyper_parameters_were_hashed_still_holds(
    model: Model, attested: dict[str, Any], tmp_path: Path
) -> None:
    older = {name: value for name, value in attested.items() if name != "config_sha256"}

    check(model, kept_as(tmp_path / "there.json", older))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "{}", '{"by_prompt": 1}', "[" * 100_000, "\0" * 10]
)
def test_what_is_no_attestation_is_refused(model: Model, tmp_path: Path, content: str) -> None:
    file = tmp_path / "there.json"
    file.write_text(content)

    with pytest.raises(UsageError, match="is no attestation"):
        check(model, file)


def test_the_command_says_equal_or_ends_with_3(
    file: Path, attested: dict[str, Any], tmp_path: Path
) -> None:
    printed = CliRunner().invoke(app, ["attest", str(file), "--json"])
    there = tmp_path / "there.json"
    there.write_text(printed.stdout)
    other = kept_as(tmp_path / "other.json", attested | {"logits_sha256": "0" * 64})

    same = CliRunner().invoke(app, ["attest", str(file), "--check", str(there)])
    differs = CliRunner().invoke(app, ["attest", str(file), "--check", str(other)])

    assert json.loads(printed.stdout)["logits_sha256"] == attested["logits_sha256"]
    assert (same.exit_code, differs.exit_code) == (0, 3)
    assert "logits_sha256 is" in differs.stderr
