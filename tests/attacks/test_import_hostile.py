"""Hostile folders: an import runs nothing of them, reaches for nothing outside, and stays small."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError
from artifact.folders import tiny_config, tiny_weights, write_folder

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(aboard.__file__).parents[1])}
SCRIPT = Path(__file__).with_name("import_watched.py")
PROGRAM = "import pathlib; pathlib.Path({!r}).write_text('run')\n"


def watched(tmp_path: Path, folder: Path) -> list[str]:
    """What came of importing `folder`, and the events that may not be."""
    warm_up = write_folder(tmp_path / "warm")
    outcome = subprocess.run(
        [sys.executable, SCRIPT, warm_up, folder, tmp_path / "out.gguf"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=folder,
        check=True,
    )
    return outcome.stdout.splitlines()


def with_programs(folder: Path, evidence: Path, **config: object) -> Path:
    """A folder with everything that a careless reader would run."""
    code = {"AutoConfig": "configuration_evil.Config", "AutoModelForCausalLM": "modeling_evil.M"}
    write_folder(folder, config=tiny_config(auto_map=code, **config))
    program = PROGRAM.format(str(evidence))
    for name in ("configuration_evil", "modeling_evil", "json", "numpy", "tokenizers", "setup"):
        (folder / f"{name}.py").write_text(program)
    (folder / "pytorch_model.bin").write_bytes(f"cbuiltins\nexec\n(S{program!r}\ntR.".encode())
    return folder


def test_a_folder_full_of_programs_is_imported_without_running_any(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    folder = with_programs(tmp_path / "model", evidence)

    assert watched(tmp_path, folder) == ["imported"]
    assert not evidence.exists()


@pytest.mark.parametrize("model_type", ["evil", "../evil", "os", "decoder", "__init__", ""])
def test_a_model_that_needs_its_own_programs_is_refused_without_running_any(
    tmp_path: Path, model_type: str
) -> None:
    evidence = tmp_path / "evidence"
    folder = with_programs(tmp_path / "model", evidence, model_type=model_type)

    outcome, *events = watched(tmp_path, folder)

    assert f"the model_type {model_type!r} is not supported" in outcome
    assert events == []
    assert not evidence.exists()
    with pytest.raises(AboardError) as caught:
        import_checkpoint(folder, tmp_path / "out.gguf")
    assert "programs from its own folder, which Aboard never runs" in str(caught.value.hint)


MEASURE = """
import resource, sys
from aboard.artifact.importing import import_checkpoint
import_checkpoint(sys.argv[1], sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import_checkpoint(sys.argv[2], sys.argv[3], type=sys.argv[4])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("form", ["f32", "q8_0"])
def test_memory_stays_far_below_the_largest_tensor(tmp_path: Path, form: str) -> None:
    width, vocabulary = 512, 65_536
    weights = {
        name: np.zeros((vocabulary, width), np.float32)
        if values.shape == (259, 64)
        else np.zeros([n * width // 64 if n in (64, 128, 16) else n for n in values.shape], "f4")
        for name, values in tiny_weights().items()
    }
    config = tiny_config(
        hidden_size=width, intermediate_size=1024, head_dim=64, vocab_size=vocabulary
    )
    folder = write_folder(tmp_path / "model", weights, config)
    largest_bytes = weights["lm_head.weight"].nbytes
    small = write_folder(tmp_path / "small")

    outcome = subprocess.run(
        [sys.executable, "-c", MEASURE, small, folder, tmp_path / "out.gguf", form],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )

    # What a tokenizer of 65,536 tokens takes counts too, but never a tensor: these have 134 MB.
    assert int(outcome.stdout) < largest_bytes * 0.6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"[]", "is list, expected a JSON object"),
        (b"{" * 100_000, "nests|is no JSON"),
        (b'{"a":' * 100_000, "nests values too deeply"),
        (b'{"model_type": "llama", "model_type": "llama"}', "'model_type' stands there twice"),
        (b'{"model_type": NaN}', "holds NaN"),
        (b'{"model_type": "\xff"}', "is not UTF-8"),
        (b'{"model_type": 1' + b"0" * 5000 + b"}", "holds a number of 500[01] digits"),
        (b'{"x": [' + b"1," * 1_200_000 + b"1]}", "more than 1048576 values"),
    ],
)
def test_a_config_that_is_no_config_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "config.json").write_bytes(content)

    with pytest.raises(AboardError, match=message) as caught:
        import_checkpoint(folder, tmp_path / "out.gguf")

    assert str(folder / "config.json") in str(caught.value)


WRONG = [None, True, -1, 0, 1.5, 2**31, 2**70, 1e300, "x", "", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("key", sorted(tiny_config()))
def test_a_config_with_any_wrong_value_is_imported_or_refused_in_aboards_own_words(
    tmp_path: Path, key: str
) -> None:
    folder = write_folder(tmp_path / "model")

    for value in WRONG:
        (folder / "config.json").write_text(json.dumps(tiny_config(**{key: value})))
        with suppress(AboardError):  # any other error goes through
            import_checkpoint(folder, tmp_path / "out.gguf")
