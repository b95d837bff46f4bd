"""A transformers model in float32 from a `llama` GGUF file that the `gguf` package reads.

Nothing of it comes from this project: it is the oracle of the golden files and of bench/quality.py.
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def oracle_model(path: Path) -> LlamaForCausalLM:
    """The float32 model of the file's decoded weights; nothing of it comes from this project."""
    reader = gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in reader.fields.items() if len(key) < 60}
    tensors = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        for tensor in reader.tensors
    }
    if fields["general.architecture"] != "llama" or "llama.rope.scaling.type" in fields:
        raise SystemExit(f"{path}: the oracle knows plain `llama` only")
    divisors = tensors.pop("rope_freqs.weight", None)
    heads = fields["llama.attention.head_count"]
    kv_heads = fields.get("llama.attention.head_count_kv", heads)
    width = fields["llama.embedding_length"]
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        hidden_size=width,
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=fields.get("llama.attention.key_length", width // heads),
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        max_position_embeddings=fields["llama.context_length"],
        tie_word_embeddings="output.weight" not in tensors,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": fields.get("llama.rope.freq_base", 10_000.0),
        },
        dtype="float32",
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval()
    if divisors is not None:
        model.model.rotary_emb.inv_freq /= torch.from_numpy(divisors)
    state = {}
    for name, values in tensors.items():
        parts = name.removesuffix(".weight").split(".")
        if parts[0] == "blk":
            if parts[2] in ("attn_q", "attn_k"):
                values = _halves_together(values, heads if parts[2] == "attn_q" else kv_heads)
            state[f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"] = torch.from_numpy(values)
        else:
            state[f"{OUTER[parts[0]]}.weight"] = torch.from_numpy(values)
    missing, unexpected = model.load_state_dict(state, strict=False)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if unexpected or set(missing) - tied:
        raise SystemExit(f"{path}: missing {missing}, unexpected {unexpected}")
    return model


def _halves_together(rows: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's neighbouring rotary rows back to transformers' two halves."""
    pairs = rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(pairs.reshape(rows.shape))
