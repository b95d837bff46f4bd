"""Tiny Llama models of random weights, as GGUF files, the same for a seed on every machine.

>>> from tiny import tiny_llama
>>> path = tiny_llama(tmp_path / "tiny.gguf", fmt="Q4_K", width=256, ffn=512)

The tokenizer has one token per byte and three control tokens; the template is ChatML.
`llama_weights` gives the weights of the F32 files with the names and the row order of
transformers, for oracles; `gguf_tensors` turns them into the names and the row order of GGUF.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tiny_blocks import FORMATS, Random, random_tensor
from tiny_gguf import Tensor, float32_tensor, write_gguf

__all__ = ["FORMATS", "Llama", "RopeScaling", "gguf_tensors", "llama_weights", "tiny_llama"]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5


@dataclass(frozen=True)
class RopeScaling:
    """How positions are stretched: `linear` (factor only) or as Llama 3 does it."""

    kind: Literal["linear", "llama3"]
    factor: float
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    original_context: int = 32


@dataclass(frozen=True)
class Llama:
    """The shape of a tiny model. 259 tokens: no multiple of any number of SIMD lanes."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int | None = None
    ffn: int = 128
    vocabulary: int = 259
    tied: bool = False
    context: int = 1024
    rope_base: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """The size of one head: `head_dim`, or else an equal share of the width."""
        return self.head_dim or self.width // self.heads


def tiny_llama(
    path: Path,
    model: Llama | None = None,
    *,
    fmt: str = "F32",
    embedding_fmt: str | None = None,
    seed: int = 0,
    metadata: Mapping[str, object] = {},
    **shape: object,
) -> Path:
    """A GGUF file at `path` with random weights of format `fmt`; the norms are F32.

    `embedding_fmt`: the format of the embedding and the head where it differs. `metadata`
    replaces or adds entries. `shape`: fields of `Llama` that differ from `model`'s.
    """
    model = replace(model or Llama(), **shape)  # type: ignore[arg-type]
    tensors = gguf_tensors(model, llama_weights(model, seed))
    random = Random(seed + 1_000_003)
    for name, tensor in tensors.items():
        wanted = embedding_fmt or fmt if name in ("token_embd.weight", "output.weight") else fmt
        if len(tensor.shape) == 2 and wanted != "F32":
            std = _std(name.split(".")[-2], tensor.shape[1])
            tensors[name] = random_tensor(wanted, *tensor.shape, std, random)
    entries = {**model_metadata(model), **tokenizer_metadata(model.vocabulary), **metadata}
    return write_gguf(path, entries, tensors)


def llama_weights(model: Llama, seed: int) -> dict[str, np.ndarray]:
    """Random float32 weights, (out, in), by the names that transformers gives them."""
    random = Random(seed)
    width, rows, kv_rows = model.width, model.heads * model.head_width, _kv_rows(model)
    shapes = {
        "self_attn.q_proj": (rows, width),
        "self_attn.k_proj": (kv_rows, width),
        "self_attn.v_proj": (kv_rows, width),
        "self_attn.o_proj": (width, rows),
        "mlp.gate_proj": (model.ffn, width),
        "mlp.up_proj": (model.ffn, width),
        "mlp.down_proj": (width, model.ffn),
    }
    weights = {"model.embed_tokens": random.weights(_std("token_embd", 1), model.vocabulary, width)}
    for layer in range(model.layers):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[prefix + norm] = random.uniform(0.5, 1.5, width)
        for name, shape in shapes.items():
            std = _std(_GGUF_NAMES[name], shape[1])
            weights[prefix + name] = random.weights(std, *shape)
    weights["model.norm"] = random.uniform(0.5, 1.5, width)
    if not model.tied:
        weights["lm_head"] = random.weights(_std("output", width), model.vocabulary, width)
    return {name + ".weight": values for name, values in weights.items()}


def gguf_tensors(model: Llama, weights: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The weights as GGUF wants them: renamed, and the rows of queries and keys reordered.

    transformers rotates row i with row i + half; GGUF's `llama` rotates neighbours.
    """
    tensors = {}
    for name, values in weights.items():
        parts = name.removesuffix(".weight").removeprefix("model.").split(".")
        if parts[0] != "layers":
            tensors[_GGUF_NAMES[parts[0]] + ".weight"] = float32_tensor(values)
            continue
        short = ".".join(parts[2:])
        if short in ("self_attn.q_proj", "self_attn.k_proj"):
            half = model.head_width // 2
            values = values.reshape(-1, 2, half, model.width).swapaxes(1, 2)
            values = values.reshape(-1, model.width)
        tensors[f"blk.{parts[1]}.{_GGUF_NAMES[short]}.weight"] = float32_tensor(values)
    if model.rope_scaling is not None and model.rope_scaling.kind == "llama3":
        tensors["rope_freqs.weight"] = float32_tensor(_llama3_divisors(model, model.rope_scaling))
    return tensors


def model_metadata(model: Llama) -> dict[str, object]:
    """What the file says about the model's shape."""
    entries: dict[str, object] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.license": "apache-2.0",
        "llama.block_count": model.layers,
        "llama.context_length": model.context,
        "llama.embedding_length": model.width,
        "llama.feed_forward_length": model.ffn,
        "llama.attention.head_count": model.heads,
        "llama.attention.head_count_kv": model.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": model.norm_epsilon,
        "llama.attention.key_length": model.head_width,
        "llama.attention.value_length": model.head_width,
        "llama.rope.dimension_count": model.head_width,
        "llama.rope.freq_base": model.rope_base,
        "llama.vocab_size": model.vocabulary,
    }
    if model.rope_scaling is not None and model.rope_scaling.kind == "linear":
        entries["llama.rope.scaling.type"] = "linear"
        entries["llama.rope.scaling.factor"] = model.rope_scaling.factor
    return entries


def tokenizer_metadata(vocabulary: int = 259) -> dict[str, object]:
    """A byte-level tokenizer: id = byte for the first 256, then control tokens, then unused ones.

    A vocabulary below 259 ends sooner; one below 256 lacks bytes.
    """
    tokens = [*byte_letters(), *SPECIAL_TOKENS]
    tokens += [f"<unused{i}>" for i in range(vocabulary - len(tokens))]
    types = [_NORMAL] * 256 + [_CONTROL] * 3 + [_UNUSED] * max(vocabulary - 259, 0)
    entries: dict[str, object] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens[:vocabulary],
        "tokenizer.ggml.token_type": np.array(types[:vocabulary], np.int32),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHATML,
    }
    if vocabulary >= 259:
        entries["tokenizer.ggml.bos_token_id"] = 256
        entries["tokenizer.ggml.eos_token_id"] = 258
    return entries


def llama_from_json(fields: Mapping[str, Any]) -> Llama:
    """The `Llama` whose fields went through JSON as a dict."""
    scaling = fields["rope_scaling"]
    return Llama(**{**fields, "rope_scaling": scaling and RopeScaling(**scaling)})


_GGUF_NAMES = {
    "embed_tokens": "token_embd",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "norm": "output_norm",
    "lm_head": "output",
}


def _kv_rows(model: Llama) -> int:
    return model.kv_heads * model.head_width


def _std(gguf_name: str, cols: int) -> float:
    """The deviation of a tensor's weights.

    The embedding outweighs what the layers add, as in trained models: int8 activations then move
    the logits by about 1 %, and a mistake in a layer by far more.
    """
    gain = 0.7 if gguf_name in ("attn_output", "ffn_down") else 1.0
    return 1.0 if gguf_name == "token_embd" else gain / cols**0.5


def _llama3_divisors(model: Llama, scaling: RopeScaling) -> np.ndarray:
    """What each frequency is divided by, (head_dim / 2,) float32, as Llama 3.1 defines it."""
    exponents = np.arange(0, model.head_width, 2) / model.head_width
    wavelengths = 2 * np.pi * model.rope_base**exponents
    low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
    turns = scaling.original_context / wavelengths
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 / ((1 - smooth) / scaling.factor + smooth)).astype(np.float32)


def byte_letters() -> list[str]:
    """GPT-2's letter for each byte (Radford et al. 2019, `bytes_to_unicode`)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    letters |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]
