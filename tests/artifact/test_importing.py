"""Importing Hugging Face folders, against transformers' logits and the `gguf` package's bytes."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

import aboard
from aboard import formats
from aboard.artifact.importing import import_checkpoint
from aboard.artifact.types import OWN_TYPES
from aboard.checkpoint.gguf import open_gguf
from artifact.folders import (
    CONFIGS,
    DTYPES,
    GOLDEN,
    imported,
    tiny_config,
    tiny_weights,
    write_folder,
)
from tiny import Llama, gguf_tensors, llama_from_json, llama_weights

CASES = json.loads((GOLDEN / "llama" / "cases.json").read_text())["cases"]
ALLOWED = 2e-2  # int8 activations; see tests/models/test_llama_golden.py


def golden_folder(name: str, folder: Path) -> Path:
    case = CASES[name]
    weights = llama_weights(llama_from_json(case["shape"]), case["seed"])
    return write_folder(folder / name, weights, CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_what_transformers_saved_are_those_of_transformers(
    tmp_path: Path, name: str
) -> None:
    case, oracle = CASES[name], np.load(GOLDEN / "llama" / f"{name}.npy")
    rows = slice(None) if case["rows"] is None else case["rows"]

    model = aboard.load(imported(tmp_path, golden_folder(name, tmp_path)))

    logits = model.logits(case["tokens"])[rows]
    assert np.abs(logits - oracle).max() <= ALLOWED * np.abs(oracle).max()


@pytest.mark.parametrize("name", CONFIGS)
def test_tensors_are_those_that_gguf_wants(tmp_path: Path, name: str) -> None:
    shape = llama_from_json(CASES[name]["shape"])
    expected = gguf_tensors(shape, llama_weights(shape, CASES[name]["seed"]))

    path = imported(tmp_path, golden_folder(name, tmp_path))

    found = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        got = found[key].data
        assert got.shape == tensor.shape
        if key == "rope_freqs.weight":  # computed: the last bit is the platform's
            want = np.frombuffer(tensor.data, np.float32)
            assert np.allclose(got, want, rtol=1e-6, atol=0)
        else:
            assert got.tobytes() == tensor.data


@pytest.mark.parametrize("form", DTYPES)
def test_without_a_type_weights_stay_as_they_are(tmp_path: Path, form: str) -> None:
    scale = 1.0 if form.startswith(("F", "B")) else 10.0
    weights = {name: np.abs(values) * scale for name, values in tiny_weights().items()}
    source = write_folder(tmp_path / "model", weights, dtype=form)

    file = open_gguf(imported(tmp_path, source))

    for name, key in (("model.embed_tokens", "token_embd"), ("model.norm", "output_norm")):
        tensor = file.tensors[f"{key}.weight"]
        stored = weights[f"{name}.weight"].astype(DTYPES[form]).astype(np.float32)
        decoder = formats.by_name(tensor.format)
        raw = file.read(tensor.name).reshape(1, -1, decoder.BLOCK_BYTES)
        assert decoder.decode(raw).tobytes() == stored.tobytes()
        assert tensor.format == ("F32" if key == "output_norm" else OWN_TYPES[form])


@pytest.mark.parametrize("name", formats.plainly_encodable())
def test_with_a_type_matrices_are_what_the_gguf_package_rounds_them_to(
    tmp_path: Path, name: str
) -> None:
    expected = gguf_tensors(Llama(layers=3, heads=8, kv_heads=2), tiny_weights())

    path = imported(tmp_path, write_folder(tmp_path / "model"), type=name.lower())

    for tensor in gguf.GGUFReader(path).tensors:
        want = np.frombuffer(expected[tensor.name].data, np.float32)
        kind = GGMLQuantizationType.F32
        if len(tensor.shape) > 1:
            kind = GGMLQuantizationType[name]
            if tensor.name == "output.weight" and name[0] == "Q":
                kind = GGMLQuantizationType.Q8_0
            want = quants.quantize(want.reshape(expected[tensor.name].shape), kind)
        assert tensor.tensor_type == kind
        assert tensor.data.tobytes() == want.tobytes()
    assert np.isfinite(aboard.load(path).logits([1, 2, 3])).all()


def test_rows_that_are_no_blocks_are_f16_and_the_head_q8_0_and_both_are_told(
    tmp_path: Path,
) -> None:
    shape = Llama(kv_heads=4, ffn=172)
    weights = llama_weights(shape, 1)

    made = import_checkpoint(
        write_folder(tmp_path / "m", weights, CONFIGS["llama2"]), tmp_path / "o.gguf", type="Q4_0"
    )

    assert made.tensors_by_format == {"Q4_0": 13, "F32": 5, "F16": 2, "Q8_0": 1}
    assert made.notes == (
        "2 matrices are F16 (blk.0.ffn_down.weight, blk.1.ffn_down.weight): rows of 172 weights "
        "are no whole blocks of Q4_0",
        "output.weight is Q8_0: its errors would go straight into the logits",
    )


@pytest.mark.parametrize("name", ["Q2_K", "Q3_K", "IQ4_XS", "Q4_K", "Q5_K", "Q6_K"])
def test_types_of_256_a_block_are_searched_and_their_head_has_six_bits(
    tmp_path: Path, name: str
) -> None:
    shape = Llama(layers=3, heads=8, kv_heads=4, width=256, ffn=256)
    weights = llama_weights(shape, 2)
    config = tiny_config(hidden_size=256, intermediate_size=256, num_key_value_heads=4, head_dim=32)
    source = write_folder(tmp_path / "m", weights, config)

    made = import_checkpoint(source, tmp_path / "o.gguf", type=name.lower())

    expected = gguf_tensors(shape, weights)
    for tensor in gguf.GGUFReader(tmp_path / "o.gguf").tensors:
        want = np.frombuffer(expected[tensor.name].data, np.float32)
        if len(tensor.shape) > 1:
            kind = "Q6_K" if tensor.name == "output.weight" else name
            want = formats.round_to(kind, want.reshape(expected[tensor.name].shape))
            assert tensor.tensor_type == GGMLQuantizationType[kind]
        assert tensor.data.tobytes() == want.tobytes()
    heads = ("output.weight is Q6_K: its errors would go straight into the logits",)
    assert made.notes == (() if name == "Q6_K" else heads)
    assert np.isfinite(aboard.load(tmp_path / "o.gguf").logits([1, 2, 3])).all()


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Q2_K", "IQ4_NL"),
        ("Q3_K", "IQ4_NL"),
        ("IQ4_XS", "IQ4_NL"),
        ("Q4_K", "Q4_1"),
        ("Q5_K", "Q5_1"),
        ("Q6_K", "Q8_0"),
    ],
)
def test_rows_too_short_for_256_a_block_get_a_type_of_32_and_are_told(
    tmp_path: Path, name: str, instead: str
) -> None:
    made = import_checkpoint(write_folder(tmp_path / "m"), tmp_path / "o.gguf", type=name)

    assert made.tensors_by_format[instead] >= 15
    assert f" are {instead} (" in made.notes[0]
    assert f"rows of 64 weights are no whole blocks of {name}" in made.notes[0]
    assert np.isfinite(aboard.load(tmp_path / "o.gguf").logits([1, 2, 3])).all()


def test_configs_that_end_an_answer_otherwise_are_told(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "m")
    (source / "generation_config.json").write_text(json.dumps({"eos_token_id": [65, 66]}))

    made = import_checkpoint(source, tmp_path / "o.gguf")

    assert made.notes == (
        "the tokenizer ends a sequence with 258, generation_config.json an answer with [65, 66]",
        "eos_token_id is [258] in config.json, [65, 66] in generation_config.json",
    )


def test_text_only_of_a_gguf_file_is_told_to_leave_nothing_out(tmp_path: Path) -> None:
    made = imported(tmp_path, write_folder(tmp_path / "m"))

    copied = import_checkpoint(made, tmp_path / "x.gguf", text_only=True)

    assert copied.notes == ("there is nothing but a text model: --text-only leaves nothing out",)


def test_a_chat_template_that_is_of_no_use_is_told(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "m")
    (source / "chat_template.jinja").write_text("{% if")

    made = import_checkpoint(source, tmp_path / "o.gguf")

    assert len(made.notes) == 1
    assert made.notes[0].startswith("the chat template is of no use: chat template, line 1")


def test_a_tied_embedding_counts_as_the_head(tmp_path: Path) -> None:
    source = golden_folder("tied", tmp_path)

    file = open_gguf(imported(tmp_path, source, type="q4_1"))

    assert file.tensors["token_embd.weight"].format == "Q8_0"
    assert "output.weight" not in file.tensors


def test_shards_and_one_file_give_the_same_bytes(tmp_path: Path) -> None:
    single, sharded = tmp_path / "a" / "model", tmp_path / "b" / "model"
    write_folder(single)
    write_folder(sharded, n_shards=4)

    paths = [tmp_path / f"{i}.gguf" for i in range(3)]
    sources = (single, sharded, single / "model.safetensors")
    for source, path in zip(sources, paths, strict=True):
        import_checkpoint(source, path)

    assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_and_the_size_of_pieces_change_nothing(
    tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aboard.artifact import tensor_stream

    source = write_folder(tmp_path / "model")
    import_checkpoint(source, tmp_path / "whole.gguf", type="q8_0")
    monkeypatch.setattr(tensor_stream, "PIECE_WEIGHTS", 100)

    import_checkpoint(source, tmp_path / "pieces.gguf", type="q8_0", threads=threads)

    assert (tmp_path / "pieces.gguf").read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_progress_goes_from_something_to_all(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []

    import_checkpoint(
        write_folder(tmp_path / "model"),
        tmp_path / "out.gguf",
        progress=lambda *call: calls.append(call),
    )

    totals = {total for _, _, total in calls}
    done = [done for _, done, _ in calls]
    assert {stage for stage, _, _ in calls} == {"import"}
    assert len(totals) == 1
    assert done == sorted(done)
    assert done[-1] == totals.pop()


def test_an_import_that_is_interrupted_leaves_the_old_file(tmp_path: Path) -> None:
    source, out = write_folder(tmp_path / "model"), tmp_path / "out" / "model.gguf"
    out.parent.mkdir()
    out.write_bytes(b"old")

    def interrupt(stage: str, done_bytes: int, total_bytes: int) -> None:
        if done_bytes > total_bytes // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_checkpoint(source, out, progress=interrupt)

    assert out.read_bytes() == b"old"
    assert [path.name for path in out.parent.iterdir()] == ["model.gguf"]


def test_what_early_checkpoints_hold_beside_the_weights_is_left_out(tmp_path: Path) -> None:
    weights = tiny_weights()
    frequencies = {
        f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32) for i in range(3)
    }

    with_more = imported(tmp_path / ".", write_folder(tmp_path / "a" / "m", weights | frequencies))
    content = with_more.read_bytes()
    without = imported(tmp_path / ".", write_folder(tmp_path / "b" / "m", weights))

    assert content == without.read_bytes()


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "Tiny-Model", dtype="BF16")
    (source / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: a/b\n---\n# Tiny\n")

    metadata = open_gguf(imported(tmp_path, source)).metadata

    assert {key: metadata[key] for key in metadata if key.startswith("general.")} == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "Tiny-Model",
        "general.license": "Apache-2.0",
        "general.base_model.count": 1,
        "general.base_model.0.name": "b",
        "general.base_model.0.organization": "a",
        "general.quantization_version": 2,
        "general.file_type": 32,
        "general.size_label": "138K",
    }


def test_a_folder_of_a_download_cache_is_named_as_the_model_once_was(tmp_path: Path) -> None:
    config = tiny_config(_name_or_path="someone/Tiny-1")
    source = write_folder(tmp_path / ("0123456789" * 4), config=config)

    assert open_gguf(imported(tmp_path, source)).metadata["general.name"] == "Tiny-1"
