"""What an import refuses: places, sources, types and weights; nothing is left behind."""

import json
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError, ArtifactError, UnsupportedFile, UsageError
from artifact.folders import CONFIGS, GOLDEN, imported, tiny_weights, write_folder
from tiny import llama_from_json, llama_weights

CASES = json.loads((GOLDEN / "llama" / "cases.json").read_text())["cases"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_no_file_of_the_checkpoint_is_replaced(tmp_path: Path, name: str) -> None:
    source = write_folder(tmp_path / "m")
    before = (source / name).read_bytes()
    (tmp_path / "link").symlink_to(source / name)

    for out in (source / name, tmp_path / "link"):
        with pytest.raises(ArtifactError, match="is a file of the checkpoint itself"):
            import_checkpoint(source, out)

    assert (source / name).read_bytes() == before


@pytest.mark.parametrize(
    ("out", "proposed"),
    [(".", "model.gguf"), ("/", "/model.gguf"), ("", "model.gguf"), ("no/such/", "no/such/model")],
)
def test_a_place_without_a_name_is_refused(tmp_path: Path, out: str, proposed: str) -> None:
    with pytest.raises(ArtifactError, match="names no file") as caught:
        import_checkpoint(write_folder(tmp_path / "m"), out)

    assert proposed in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "hint"), [("no/such/x.gguf", "Make its folder"), ("n" * 251, "a shorter name")]
)
def test_a_place_that_cannot_be_written_is_told_with_the_way_out(
    tmp_path: Path, name: str, hint: str
) -> None:
    with pytest.raises(ArtifactError, match="can't be written") as caught:
        import_checkpoint(write_folder(tmp_path / "m"), tmp_path / name)

    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(("source", "out"), [("n" * 256, "x.gguf"), ("m", "n" * 256)])
def test_names_that_are_too_long_are_refused(tmp_path: Path, source: str, out: str) -> None:
    with pytest.raises(UsageError, match="nnn: File name too long"):
        import_checkpoint(tmp_path / source, tmp_path / out)


def test_no_source_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_folder(tmp_path / "m"))

    with pytest.raises(UsageError, match="the source is an empty text"):
        import_checkpoint("", tmp_path / "x.gguf")


def test_what_is_refused_says_which_file_it_is(tmp_path: Path) -> None:
    made = imported(tmp_path, write_folder(tmp_path / "m"))
    content = made.read_bytes()
    made.write_bytes(content.replace(b"llama.vocab_size", b"llama.vocab_sise"))

    with pytest.raises(AboardError, match="hyper-parameters: llama") as caught:
        import_checkpoint(made, tmp_path / "x.gguf")

    assert str(made) in str(caught.value)
    with pytest.raises(AboardError, match="hyper-parameters: llama") as caught:
        aboard.load(made)
    assert str(made) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["generation_config.json", "chat_template.jinja", "model.safetensors.index.json"]
)
def test_what_is_there_but_leads_nowhere_is_not_taken_for_missing(
    tmp_path: Path, name: str
) -> None:
    source = write_folder(tmp_path / "m")
    (source / name).symlink_to(tmp_path / "nowhere")

    with pytest.raises(AboardError, match=r"can't be read|has both"):
        import_checkpoint(source, tmp_path / "o.gguf")


def test_a_tied_head_that_is_there_as_well_must_be_the_embedding(tmp_path: Path) -> None:
    case = CASES["tied"]
    weights = llama_weights(llama_from_json(case["shape"]), case["seed"])
    twin = weights | {"lm_head.weight": weights["model.embed_tokens.weight"].copy()}

    imported(tmp_path, write_folder(tmp_path / "same", twin, CONFIGS["tied"]))
    twin["lm_head.weight"][3, 5] += 1

    with pytest.raises(AboardError, match=r"'lm_head\.weight' differs from 'model\.embed_tokens"):
        imported(tmp_path, write_folder(tmp_path / "other", twin, CONFIGS["tied"]))


NORM, QUERY = "model.norm.weight", "model.layers.1.self_attn.q_proj.weight"
BIAS = "model.layers.0.self_attn.q_proj.bias"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({NORM: None}, rf"has no tensor '{NORM}'"),
        ({"lm_head.weight": None}, r"has no tensor 'lm_head\.weight'"),
        (
            {BIAS: np.zeros(64, np.float32)},
            rf"tensor '{BIAS}' is unknown to the architecture llama",
        ),
        ({NORM: np.zeros(65, np.float32)}, rf"tensor '{NORM}' is \(65,\), expected \(64,\)"),
        ({QUERY: np.zeros((64, 32), np.float32)}, rf"tensor '{QUERY}' is \(64, 32\), expected"),
        ({QUERY: np.zeros((64, 64), np.int64)}, rf"tensor '{QUERY}' is I64, expected one of F64"),
        ({QUERY: np.zeros((64, 64), bool)}, rf"tensor '{QUERY}' is BOOL, expected one of F64"),
    ],
)
def test_tensors_that_do_not_fit_the_config_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray | None], message: str
) -> None:
    weights = {
        name: values for name, values in {**tiny_weights(), **changes}.items() if values is not None
    }

    with pytest.raises(AboardError, match=message) as caught:
        imported(tmp_path, write_folder(tmp_path / "model", weights))

    assert caught.value.hint
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "index"), [(NORM, (7,)), (QUERY, (63, 5)), ("lm_head.weight", (258, 63))]
)
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_weight_that_is_no_number_is_told_with_its_place(
    tmp_path: Path, name: str, index: tuple[int, ...], bad: float, dtype: str
) -> None:
    weights = tiny_weights()
    weights[name][index] = bad
    source = write_folder(tmp_path / "model", weights, dtype=dtype)
    out = tmp_path / "out" / "x.gguf"
    out.parent.mkdir()

    with pytest.raises(
        AboardError, match=rf"tensor '{name}': the weight at .* is -?(nan|inf)"
    ) as e:
        import_checkpoint(source, out)

    assert str(list(index)) in str(e.value)
    assert list(out.parent.iterdir()) == []


def test_a_weight_beyond_the_range_of_its_new_type_is_refused(tmp_path: Path) -> None:
    weights = tiny_weights()
    weights["lm_head.weight"][0, 0] = 1e6
    source = write_folder(tmp_path / "model", weights)

    with pytest.raises(UnsupportedFile, match=r"'output\.weight': 1e\+06 is beyond .* float16"):
        imported(tmp_path, source, type="f16")


@pytest.mark.parametrize("name", ["q4_2", "int8", "", "F33", "mxfp4"])
def test_types_that_are_not_written_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UsageError, match="expected one of q2_k, q3_k, iq4_xs, iq4_nl, q4_0, q4_k, "
    ):
        imported(tmp_path, write_folder(tmp_path / "model"), type=name)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "model")
    (source / "tokenizer.json").unlink()

    with pytest.raises(AboardError, match=r"expected tokenizer\.json, tokenizer\.model, tekken"):
        imported(tmp_path, source)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no such file or folder"),
        ("model.bin", "is a pickled checkpoint"),
        ("config.json", "expected a GGUF file, or a folder"),
        ("other.safetensors", "expected a GGUF file, or a folder"),
    ],
)
def test_other_sources_are_refused(tmp_path: Path, name: str, message: str) -> None:
    if name != "nothing":
        (tmp_path / name).write_bytes(b"{}")

    with pytest.raises(AboardError, match=message):
        imported(tmp_path, tmp_path / name)


def test_a_folder_without_a_config_points_to_the_gguf_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    with pytest.raises(AboardError, match=r"has no config\.json") as caught:
        imported(tmp_path, tmp_path)

    assert str(tmp_path / "model.gguf") in str(caught.value.hint)


def test_pickled_weights_in_a_folder_are_refused_with_the_reason(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "model")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")

    with pytest.raises(UnsupportedFile, match=r"pytorch_model\.bin: is a pickled") as caught:
        imported(tmp_path, source)

    assert "can run any program" in str(caught.value.hint)
