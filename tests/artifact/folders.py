"""Hugging Face folders of tiny models, as transformers saves them; made without transformers."""

import json
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from aboard.artifact.importing import import_checkpoint
from tiny import SPECIAL_TOKENS, Llama, byte_letters, llama_weights

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I8": np.int8,
    "U8": np.uint8,
}
GOLDEN = Path(__file__).parents[1] / "golden"
CONFIGS = json.loads((GOLDEN / "import" / "configs.json").read_text())


def tiny_config(**changes: object) -> dict[str, object]:
    """The config of a tiny model, with changes; one of `...` takes the member out."""
    config = {**CONFIGS["grouped_queries"], **changes}
    return {key: value for key, value in config.items() if value is not ...}


def tiny_weights(seed: int = 2) -> dict[str, np.ndarray]:
    """The weights that `tiny_config` describes."""
    return llama_weights(Llama(layers=3, heads=8, kv_heads=2), seed)


def write_folder(
    folder: Path,
    weights: Mapping[str, np.ndarray] | None = None,
    config: Mapping[str, object] | None = None,
    *,
    dtype: str = "F32",
    n_shards: int = 1,
) -> Path:
    """A folder with these weights in this type, a config and a tokenizer of one token per byte.

    The config's roles, which transformers fills by a class's defaults, are those of the tokenizer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = tiny_weights() if weights is None else weights
    config = dict(tiny_config() if config is None else config)
    if dtype != "F32":
        weights = {name: values.astype(DTYPES[dtype]) for name, values in weights.items()}
    roles = {"bos_token_id": 256, "eos_token_id": 258}
    config = config | {key: roles[key] for key in roles if key in config}
    (folder / "config.json").write_text(json.dumps(config))
    if n_shards == 1:
        save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})
    else:
        _write_shards(folder, weights, n_shards)
    write_tokenizer(folder)
    return folder


def imported(tmp_path: Path, source: Path, **options: object) -> Path:
    """The file that importing a source makes."""
    out = tmp_path / "out.gguf"
    import_checkpoint(source, out, **options)  # type: ignore[arg-type]
    return out


def _write_shards(folder: Path, weights: Mapping[str, np.ndarray], n_shards: int) -> None:
    weight_map = {
        name: f"model-{i % n_shards + 1:05d}-of-{n_shards:05d}.safetensors"
        for i, name in enumerate(weights)
    }
    for shard in set(weight_map.values()):
        held = {name: weights[name] for name, file in weight_map.items() if file == shard}
        save_file(held, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_tokenizer(folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json: byte-level BPE without merges."""
    vocabulary = {letter: i for i, letter in enumerate(byte_letters())}
    added = [
        {
            "id": 256 + i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, token in enumerate(SPECIAL_TOKENS)
    ]
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": level,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    roles = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL_TOKENS[0]}
    roles["eos_token"] = SPECIAL_TOKENS[2]
    (folder / "tokenizer_config.json").write_text(json.dumps(roles))
