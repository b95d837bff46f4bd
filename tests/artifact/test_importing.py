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
from aboard.errors import AboardError, ArtifactError, UnsupportedFile, UsageError
from artifact.folders import CONFIGS, DTYPES, GOLDEN, tiny_config, tiny_weights, write_folder
from tiny import Llama, gguf_tensors, llama_from_json, llama_weights

CASES = json.loads((GOLDEN / "llama" / "cases.json").read_text())["cases"]
ALLOWED = 2e-2  # int8 activations; see tests/models/test_llama_golden.py


def golden_folder(name: str, folder: Path) -> Path:
    case = CASES[name]
    weights = llama_weights(llama_from_json(case["shape"]), case["seed"])
    return write_folder(folder / name, weights, CONFIGS[name])


def imported(tmp_path: Path, source: Path, **options: object) -> Path:
    out = tmp_path / "out.gguf"
    import_checkpoint(source, out, **options)  # type: ignore[arg-type]
    return out


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
