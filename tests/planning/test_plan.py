"""Plans: from headers alone, true to what an import makes, and honest where something lacks."""

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from aboard import formats
from aboard.artifact.gguf_writer import NewTensor, header_bytes
from aboard.artifact.importing import import_checkpoint
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import AboardError, ContextOverflow, UsageError
from aboard.models import describe_model
from aboard.models.weight_bytes import weight_bytes
from aboard.planning import Ceiling, Plan, given_device, plan
from artifact.folders import tiny_config, tiny_weights, write_folder
from engine.made import DELTA_NETS
from planning.devices import LAPTOP, laptop
from tiny import Llama, model_metadata, tiny_llama
from tiny_encoders import TinyBert, bert_folder
from tiny_families import tiny_model
from tiny_gguf import Tensor, write_gguf

WIDE = Llama(layers=8, width=2048, heads=16, kv_heads=4, ffn=8192, vocabulary=1024)


def bytes_read() -> int:
    """By this process, of all files, so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def hollow_gguf(path: Path) -> Path:
    """A GGUF file of half a billion weights whose tensors are a hole in the file."""
    numbers = {int: np.uint32, float: np.float32, str: str}
    metadata = {key: numbers[type(v)](v) for key, v in model_metadata(WIDE).items()}
    width, ffn, rows = WIDE.width, WIDE.ffn, WIDE.kv_heads * WIDE.head_width
    shapes = {"token_embd": (1024, width), "output_norm": (width,), "output": (1024, width)}
    for i in range(WIDE.layers):
        layer = dict.fromkeys(("attn_norm", "ffn_norm"), (width,))
        layer |= dict.fromkeys(("attn_q", "attn_output"), (width, width))
        layer |= dict.fromkeys(("attn_k", "attn_v"), (rows, width))
        layer |= dict.fromkeys(("ffn_gate", "ffn_up"), (ffn, width))
        shapes |= {f"blk.{i}.{name}": shape for name, shape in layer.items()}
        shapes[f"blk.{i}.ffn_down"] = (width, ffn)
    tensors = [
        NewTensor(f"{name}.weight", "F16" if len(shape) > 1 else "F32", shape)
        for name, shape in shapes.items()
    ]
    with path.open("wb") as file:
        file.write(header_bytes(metadata, tensors))
        file.truncate(file.tell() + sum(-(-each.size_bytes // 32) * 32 for each in tensors))
    return path


def hollow_folder(folder: Path) -> Path:
    """A folder whose weights, a head that must equal the embedding among them, are a hole."""
    write_folder(folder, config=tiny_config(tie_word_embeddings=True, vocab_size=300_000))
    shapes = {name: values.shape for name, values in tiny_weights().items()}
    width = shapes["model.embed_tokens.weight"][1]
    shapes["model.embed_tokens.weight"] = shapes["lm_head.weight"] = (300_000, width)
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        offsets = [end, end + size]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        end += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(file.tell() + end)
    return folder


@pytest.mark.parametrize("hollow", [hollow_gguf, hollow_folder])
def test_no_weights_are_read(tmp_path: Path, hollow) -> None:
    source = hollow(tmp_path / "model.gguf")
    files = [source] if source.is_file() else list(source.iterdir())
    size_bytes = sum(each.stat().st_size for each in files)
    plan(write_folder(tmp_path / "warm"), LAPTOP)  # what is imported is read, too

    before = bytes_read()
    found = plan(source, LAPTOP)

    assert found.candidates[0].file_bytes > 70_000_000
    assert size_bytes > 70_000_000
    assert bytes_read() - before < 4_000_000


def test_files_have_the_sizes_that_an_import_then_writes(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "model")

    found = plan(source, LAPTOP)

    candidates = {each.type: each for each in found.candidates if each.kv == "f16"}
    assert set(formats.plainly_encodable()) <= set(candidates)
    for name, candidate in candidates.items():
        made = import_checkpoint(source, tmp_path / f"{name}.gguf", type=name)
        assert candidate.file_bytes == pytest.approx(made.size_bytes, abs=256)
        with open_gguf(made.path) as file:
            model = describe_model(file.metadata, frozenset(file.tensors))
            types = {each.name: each.format for each in file.tensors.values()}
        assert candidate.memory.weights == -(-weight_bytes(model, types).memory // 2**21) * 2**21


def by_type(found: Plan) -> dict[str, object]:
    return {each.type: each for each in found.candidates if each.kv != "int8"}


def test_rows_that_are_no_whole_super_blocks_say_what_stands_there(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", width=64, ffn=256)  # two layers

    found = plan(source, LAPTOP)

    notes = by_type(found)["Q4_K"].notes
    assert "Q4_1 for 13 of the matrices: rows of 64 are no whole blocks of 256" in notes


def test_a_type_that_no_row_can_have_is_left_out_and_told(tmp_path: Path) -> None:
    found = plan(tiny_llama(tmp_path / "tiny.gguf"), LAPTOP)

    assert "Q4_K" not in by_type(found)
    assert "Q4_K: no row of the model is a whole number of its blocks" in found.notes


def test_a_quantised_file_stays_as_it_is(tmp_path: Path) -> None:
    found = plan(tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_0"), LAPTOP)

    assert [(each.type, each.kv, each.own) for each in found.candidates] == [
        ("Q4_0", "f16", True),
        ("Q4_0", "int8", True),
    ]
    assert found.recommended is not None
    assert found.reason == "it fits as it is"


def test_users_and_context_take_keys_and_values(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", layers=16, kv_heads=4, context=8192)

    one, four = (plan(source, LAPTOP, context=8192, users=n).candidates[0] for n in (1, 4))

    kv = 8192 * 16 * 4 * 2 * 16 * 2  # tokens, layers, heads, a key and a value, float16
    assert one.memory.kv == kv
    assert four.memory.kv == 4 * kv
    assert four.peak_bytes > one.peak_bytes + 3 * kv
    assert four.speeds.decode_bytes - one.speeds.decode_bytes == 3 * kv


def test_what_lacks_is_told_to_the_byte(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf")
    needed = plan(source, LAPTOP).candidates[-1].peak_bytes

    exactly, less = (
        plan(source, laptop(available_bytes=needed - lack), context=1024) for lack in (0, 1)
    )

    assert exactly.candidates[-1].fits
    assert exactly.candidates[-1].margin_bytes == 0
    assert not less.candidates[-1].fits
    assert less.candidates[-1].margin_bytes == -1


def test_where_nothing_fits_the_reason_says_how_much_lacks(tmp_path: Path) -> None:
    found = plan(tiny_llama(tmp_path / "tiny.gguf"), given_device(10_000_000, None))

    assert found.recommended is None
    assert found.reason.startswith("nothing fits: the smallest that there is, IQ4_NL")
    assert not any(each.fits for each in found.candidates)


def test_the_limit_of_a_control_group_is_the_room(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf")

    found = plan(source, laptop(limit_bytes=20_000_000))

    assert found.recommended is None


def test_speed_follows_bandwidth_where_weights_are_all(tmp_path: Path) -> None:
    source = hollow_gguf(tmp_path / "model.gguf")
    twice = laptop(
        ceilings=tuple(
            Ceiling(
                threads=each.threads,
                bytes_per_s=2 * each.bytes_per_s,
                ops_per_s={isa: 2 * ops for isa, ops in each.ops_per_s.items()},
            )
            for each in LAPTOP.ceilings
        )
    )

    once, double = (
        plan(source, device, context=64).candidates[0].speeds for device in (LAPTOP, twice)
    )

    ratio = double.decode_tokens_per_s.value / once.decode_tokens_per_s.value
    assert ratio == pytest.approx(2, rel=0.02)
    read = once.decode_bytes * once.decode_tokens_per_s.value
    assert 0.5 * 40e9 < read < 40e9
    assert once.first_token_s.value > 64 / once.prompt_tokens_per_s.value


def test_several_users_decode_more_together_and_less_each(tmp_path: Path) -> None:
    source = hollow_gguf(tmp_path / "model.gguf")

    one, four = (
        plan(source, LAPTOP, context=64, users=n).candidates[0].speeds.decode_tokens_per_s.value
        for n in (1, 4)
    )

    assert one < four < 4 * one


def test_without_an_integer_peak_prompts_are_unknown(tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf")

    by_hand = plan(source, given_device(8_000_000_000, 60e9)).candidates[0].speeds
    without = plan(source, given_device(8_000_000_000, None)).candidates[0].speeds
    together = plan(source, given_device(8_000_000_000, 60e9), users=2).candidates[0].speeds

    assert by_hand.decode_tokens_per_s is not None
    assert by_hand.prompt_tokens_per_s is by_hand.first_token_s is None
    assert without.decode_tokens_per_s is together.decode_tokens_per_s is None


@pytest.mark.parametrize(
    ("changes", "basis"),
    [
        ({}, "efficiency measured on"),
        ({"ceilings": (Ceiling(threads=1, bytes_per_s=2e10, ops_per_s={"vnni": 5e11}),)}, "vnni"),
    ],
)
def test_the_basis_is_said_and_what_is_carried_over_is_less_certain(
    tmp_path: Path, changes: dict[str, object], basis: str
) -> None:
    speeds = plan(tiny_llama(tmp_path / "tiny.gguf"), laptop(**changes)).candidates[0].speeds

    decode = speeds.decode_tokens_per_s
    assert basis in speeds.basis
    assert ("less certain" in speeds.basis) == bool(changes)
    assert (decode.high / decode.low > 2) == bool(changes)


def test_a_busy_device_is_told(tmp_path: Path) -> None:
    found = plan(tiny_llama(tmp_path / "tiny.gguf"), laptop(load=7.0))

    assert any(
        "was busy when it was measured (load 7.0 on 2 cores)" in each for each in found.notes
    )


def test_an_encoder_has_no_cache_and_decodes_nothing(tmp_path: Path) -> None:
    source = bert_folder(tmp_path / "bert", TinyBert())

    found = plan(source, LAPTOP)

    assert found.prefix_cache_bytes == 0
    assert {each.kv for each in found.candidates} == {None}
    assert found.candidates[0].memory.kv == 0
    assert found.candidates[0].speeds.decode_tokens_per_s is None
    assert found.candidates[0].speeds.prompt_tokens_per_s is not None
    with pytest.raises(UsageError, match="an encoder decodes nothing"):
        plan(source, LAPTOP, users=2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"context": 0}, UsageError, "context is 0"),
        ({"context": 1025}, ContextOverflow, "a context of 1025 tokens, the model's context holds"),
        ({"context": 10, "prompt": 11}, ContextOverflow, "a prompt of 11 tokens, the context hold"),
        ({"users": 0}, UsageError, "users is 0"),
        ({"users": 2000}, UsageError, "users is 2000"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, options: dict[str, int], error: type[AboardError], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan(tiny_llama(tmp_path / "tiny.gguf"), LAPTOP, **options)


def test_folders_that_are_no_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(AboardError, match="has no config"):
        plan(tmp_path / "empty", LAPTOP)
    with pytest.raises(AboardError, match="mixtral"):
        plan(write_folder(tmp_path / "moe", config=tiny_config(model_type="mixtral")), LAPTOP)


def test_a_split_file_is_planned_as_one(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "big.gguf", "llama", split_max_tensors=9)
    with open_gguf(tiny_llama(tmp_path / "tiny.gguf")) as whole:
        for key, value in model_metadata(Llama()).items():
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
            if key != "general.architecture":
                add[type(value)](key, value)
        for name, each in whole.tensors.items():
            writer.add_tensor(name, np.zeros(each.shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    found = plan(tmp_path / "big-00001-of-00003.gguf", LAPTOP)

    one = plan(tmp_path / "tiny.gguf", LAPTOP)
    assert found.n_parameters == one.n_parameters
    assert [each.memory.weights for each in found.candidates] == [
        each.memory.weights for each in one.candidates
    ]


def test_tensors_that_change_no_answer_are_in_the_file_and_not_in_memory(tmp_path: Path) -> None:
    plain = tiny_model(tmp_path / "plain.gguf", DELTA_NETS)
    with open_gguf(plain) as file:
        entries = {
            key: value if isinstance(value, str | int | float | np.ndarray) else list(value)
            for key, value in file.metadata.items()
        }
        tensors = {
            each.name: Tensor(each.format, each.shape, file.read(each.name).tobytes())
            for each in file.tensors.values()
        }
    entries |= {"qwen35.block_count": 4, "qwen35.nextn_predict_layers": 1}
    tensors["blk.3.nextn.eh_proj.weight"] = Tensor("F32", (64, 64), bytes(4 * 64 * 64))
    ahead = write_gguf(tmp_path / "ahead.gguf", entries, tensors)

    without, found = plan(plain, LAPTOP).candidates[0], plan(ahead, LAPTOP).candidates[0]

    assert found.file_bytes == ahead.stat().st_size
    assert found.memory.weights == without.memory.weights
