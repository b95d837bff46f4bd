"""`aboard import`, and the page docs/guide/import.md, with a tiny folder."""

import json
from pathlib import Path

import pytest

from aboard.checkpoint.gguf import open_gguf
from artifact.folders import write_folder
from guide import Guide, run_commands, run_python, shell

GUIDE = Guide("docs/guide/import.md")


def test_the_path_alone_is_on_stdout(call, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "my-model")
    (source / "README.md").write_text("---\nlicense: mit\n---\n")

    outcome = call("import", str(source), "-o", "out.gguf", "--type", "q4_0")

    size_kb = Path("out.gguf").stat().st_size / 1000
    assert outcome.exit_code == 0
    assert outcome.stdout == "out.gguf\n"
    assert outcome.stderr.splitlines() == [
        "my-model: converting, 87.5 kB",
        "aboard: output.weight is Q8_0: its errors would go straight into the logits",
        f"aboard: llama, 138,048 parameters, {size_kb:.1f} kB (22 Q4_0, 7 F32, 1 Q8_0), MIT",
    ]
    assert open_gguf("out.gguf").tensors["blk.0.ffn_up.weight"].format == "Q4_0"


def test_as_json(call, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "my-model")

    outcome = call("import", str(source), "-o", "out.gguf", "--json")

    assert json.loads(outcome.stdout) == {
        "path": "out.gguf",
        "source": str(source),
        "architecture": "llama",
        "name": "my-model",
        "license": None,
        "n_parameters": 138_048,
        "n_tensors": 30,
        "size_bytes": Path("out.gguf").stat().st_size,
        "tensors_by_format": {"F32": 30},
        "notes": [],
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing", "-o", "x.gguf"], 1, "nothing: no such file or folder"),
        (["model.pt", "-o", "x.gguf"], 1, "is a pickled checkpoint"),
        (["my-model", "-o", "x.gguf", "--type", "q3"], 2, "the type is 'q3', expected one of q2_k"),
        (["my-model", "-o", "no/x.gguf"], 1, "can't be written"),
        (["my-model", "-o", "no/"], 1, "'no/': names no file"),
        (["", "-o", "x.gguf"], 2, "the source is an empty text"),
        (["my-model"], 2, "Missing option '--out'"),
    ],
)
def test_what_cannot_be_done_is_told(
    call, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    write_folder(tmp_path / "my-model")
    (tmp_path / "model.pt").write_bytes(b"\x80\x02.")

    outcome = call("import", *arguments)

    assert outcome.exit_code == code
    assert message in outcome.stderr
    assert outcome.stdout == ""
    assert not (tmp_path / "x.gguf").exists()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return shell(tmp_path)


def test_the_commands_of_the_page_run(environment: dict[str, str], tmp_path: Path) -> None:
    write_folder(tmp_path / "my-model")

    outcome = run_commands(GUIDE.commands, environment, tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert len(GUIDE.commands.splitlines()) == 5
    assert {"model.gguf", "small.gguf", "smaller.gguf"} <= {p.name for p in tmp_path.iterdir()}


def test_the_python_of_the_page_runs(environment: dict[str, str], tmp_path: Path) -> None:
    write_folder(tmp_path / "my-model")

    outcome = run_python(GUIDE.python, environment, tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "llama 138048 {'F16': 23, 'F32': 7}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["", "-o", "out.gguf"], "the source is an empty text"), ([".", "-o", ""], "names no file")],
)
def test_an_empty_name_is_not_the_folder_one_is_in(
    call, arguments: list[str], message: str
) -> None:
    outcome = call("import", *arguments)

    assert outcome.exit_code != 0
    assert message in outcome.stderr
