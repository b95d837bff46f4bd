"""What is Gemma 4's own among tiny models: names, layers of two kinds, and those without keys.

Entries of GGUF tell all of it but for one thing: far layers take keys for values where the file
gives KV heads layer by layer, as transformers has it.
"""

from collections.abc import Mapping
from typing import Any


def layer_shapes(
    own: Mapping[str, Any],
    layer: int,
    *,
    layers: int,
    width: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    ffn: int,
) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer, by the names of transformers."""
    near = bool(own["attention.sliding_window_pattern"][layer])
    d = head_dim if near else own["attention.key_length"]
    widths, known = own.get("feed_forward_length"), own["embedding_length_per_layer_input"]
    ffn = ffn if widths is None else int(widths[layer])
    n_kv = kv_heads if near or not keys_are_values(own) else int(far_kv_heads(own))
    attention = {"q_norm": (d,), "q_proj": (heads * d, width), "o_proj": (width, heads * d)}
    if layer < layers - own.get("attention.shared_kv_layers", 0):
        attention |= {"k_norm": (d,), "k_proj": (n_kv * d, width)}
        if near or not keys_are_values(own):
            attention["v_proj"] = (n_kv * d, width)
    shapes: dict[str, tuple[int, ...]] = {
        **{f"{name}.weight": (width,) for name in _NORMS},
        **{f"self_attn.{name}.weight": shape for name, shape in attention.items()},
        "mlp.gate_proj.weight": (ffn, width),
        "mlp.up_proj.weight": (ffn, width),
        "mlp.down_proj.weight": (width, ffn),
        "layer_scalar": (1,),
    }
    if known:
        shapes |= {
            "per_layer_input_gate.weight": (known, width),
            "per_layer_projection.weight": (width, known),
            "post_per_layer_input_norm.weight": (width,),
        }
    return shapes


def other_shapes(
    own: Mapping[str, Any], *, layers: int, width: int, vocabulary: int
) -> dict[str, tuple[int, ...]]:
    """What such a model has beside its layers, the embedding, the last norm and the head."""
    known = own["embedding_length_per_layer_input"]
    if not known:
        return {}
    return {
        "model.embed_tokens_per_layer.weight": (vocabulary, layers * known),
        "model.per_layer_model_projection.weight": (layers * known, width),
        "model.per_layer_projection_norm.weight": (known,),
    }


def keys_are_values(own: Mapping[str, Any]) -> bool:
    """Whether far layers have no values of their own."""
    return "attention.head_count_kv" in own


def far_kv_heads(own: Mapping[str, Any]) -> int | None:
    """KV heads of far layers where they are not those of near ones."""
    if not keys_are_values(own):
        return None
    pairs = zip(
        own["attention.head_count_kv"], own["attention.sliding_window_pattern"], strict=True
    )
    return next(int(n) for n, near in pairs if not near)


_NORMS = (
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
)
NAMES = {
    "per_layer_input_gate": "inp_gate",
    "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
    "model.embed_tokens_per_layer": "per_layer_token_embd",
    "model.per_layer_model_projection": "per_layer_model_proj",
    "model.per_layer_projection_norm": "per_layer_proj_norm",
}
