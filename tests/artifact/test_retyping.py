"""GGUF files copied and re-typed, against the `gguf` package."""

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import AboardError, CorruptTensor, UnsupportedFile
from tiny import FORMATS, Llama, gguf_tensors, llama_weights, model_metadata, tiny_llama
from tiny import tokenizer_metadata as tokenizer_entries
from tiny_gguf import Tensor, float32_tensor, write_gguf


def tensors_of(path: Path) -> dict[str, gguf.gguf_reader.ReaderTensor]:
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_copy_holds_the_same_tensors_and_metadata(tmp_path: Path, fmt: str) -> None:
    source = tiny_llama(tmp_path / "in.gguf", fmt=fmt, width=256, ffn=512, layers=1)

    made = import_checkpoint(source, tmp_path / "out.gguf")

    before, after = tensors_of(source), tensors_of(tmp_path / "out.gguf")
    assert list(before) == list(after)
    for name, tensor in before.items():
        assert after[name].tensor_type == tensor.tensor_type
        assert after[name].data.tobytes() == tensor.data.tobytes()
    old, new = open_gguf(source), open_gguf(tmp_path / "out.gguf")
    for key, value in old.metadata.items():
        assert np.array_equal(new.metadata[key], value)
        assert new.number_types.get(key) == old.number_types.get(key)
    assert set(new.metadata) - set(old.metadata) == {
        "general.file_type",
        "general.quantization_version",
        "general.size_label",
    }
    assert (made.name, made.license, made.notes) == ("tiny", "apache-2.0", ())


@pytest.mark.parametrize(("fmt", "wanted"), [("Q4_K", "Q8_0"), ("F32", "Q5_1"), ("Q8_0", "F16")])
def test_matrices_are_rounded_from_what_the_gguf_package_decodes(
    tmp_path: Path, fmt: str, wanted: str
) -> None:
    source = tiny_llama(tmp_path / "in.gguf", fmt=fmt, width=256, ffn=512, layers=1, tied=True)

    import_checkpoint(source, tmp_path / "out.gguf", type=wanted)

    before = tensors_of(source)
    for name, tensor in tensors_of(tmp_path / "out.gguf").items():
        kind = GGMLQuantizationType[wanted] if len(tensor.shape) > 1 else GGMLQuantizationType.F32
        if name == "token_embd.weight" and wanted == "Q5_1":
            kind = GGMLQuantizationType.Q8_0
        values = gguf.dequantize(before[name].data, before[name].tensor_type)
        assert tensor.tensor_type == kind
        assert tensor.data.tobytes() == quants.quantize(values, kind).tobytes()
    assert np.isfinite(aboard.load(tmp_path / "out.gguf").logits([1, 2])).all()


def test_a_type_that_the_tensors_have_already_copies_their_bytes(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "in.gguf", fmt="Q4_0", embedding_fmt="Q8_0")

    import_checkpoint(source, tmp_path / "out.gguf", type="q4_0")

    before = tensors_of(source)
    for name, tensor in tensors_of(tmp_path / "out.gguf").items():
        if name != "token_embd.weight":
            assert tensor.data.tobytes() == before[name].data.tobytes()


def test_numbers_keep_their_types(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "llama")
    shape = Llama(layers=1)
    for key, value in {**model_metadata(shape), **tokenizer_entries()}.items():
        if isinstance(value, str) and key != "general.architecture":
            writer.add_string(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint64(key, value)
        elif isinstance(value, float):
            writer.add_float64(key, value)
        elif isinstance(value, list) and value:
            writer.add_array(key, value)
    writer.add_int8("extra.small", -3)
    for name, tensor in gguf_tensors(shape, llama_weights(shape, 0)).items():
        writer.add_tensor(name, np.frombuffer(tensor.data, np.float32).reshape(tensor.shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    import_checkpoint(tmp_path / "in.gguf", tmp_path / "out.gguf")

    fields = gguf.GGUFReader(tmp_path / "out.gguf").fields
    assert fields["extra.small"].types == [gguf.GGUFValueType.INT8]
    assert fields["llama.block_count"].types == [gguf.GGUFValueType.UINT64]
    assert fields["llama.rope.freq_base"].types == [gguf.GGUFValueType.FLOAT64]


def test_a_file_may_take_its_own_place(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")

    import_checkpoint(path, path, type="q8_0")

    assert open_gguf(path).tensors["blk.0.ffn_up.weight"].format == "Q8_0"
    assert [each.name for each in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize(
    ("metadata", "tensors", "message"),
    [
        ({"general.type": "adapter"}, True, "holds a 'adapter', expected a model"),
        ({"general.type": "mmproj"}, True, "holds a 'mmproj', expected a model"),
        ({}, False, "has no tensors, expected a model"),
        ({"general.architecture": "clip"}, True, "the architecture 'clip' is not supported"),
        ({"llama.block_count": 9}, True, r"has nothing for the tensor 'blk\.2\."),
        ({"llama.block_count": 1}, True, r"has no tensor 'blk\.1\."),
        ({"llama.feed_forward_length": 64}, True, r"'blk\.0\.ffn_.*' would be \(.*\), expected \("),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, metadata: dict[str, object], tensors: bool, message: str
) -> None:
    shape = Llama()
    entries = {**model_metadata(shape), **tokenizer_entries(), **metadata}
    held = gguf_tensors(shape, llama_weights(shape, 0)) if tensors else {}
    source = write_gguf(tmp_path / "in.gguf", entries, held)

    with pytest.raises(AboardError, match=message):
        import_checkpoint(source, tmp_path / "out.gguf")

    assert not (tmp_path / "out.gguf").exists()


def test_a_damaged_scale_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    shape = Llama()
    tensors = gguf_tensors(shape, llama_weights(shape, 0))
    entries = {**model_metadata(shape), **tokenizer_entries()}
    blocks = np.zeros((128, 2, 34), np.uint8)
    blocks[5, 1, :2] = np.array([np.nan], np.float16).view(np.uint8)
    tensors["blk.0.ffn_up.weight"] = Tensor("Q8_0", (128, 64), blocks.tobytes())
    source = write_gguf(tmp_path / "in.gguf", entries, tensors)

    with pytest.raises(CorruptTensor, match=r"'blk\.0\.ffn_up\.weight': the weight at \[5, 32\]"):
        import_checkpoint(source, tmp_path / "out.gguf")

    tensors["more.weight"] = float32_tensor(np.zeros(2))
    source = write_gguf(tmp_path / "in.gguf", entries, tensors)

    with pytest.raises(UnsupportedFile, match=r"has no tensor 'more\.weight'"):
        import_checkpoint(source, tmp_path / "out.gguf")
