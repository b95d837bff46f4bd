"""What is LFM2's own among tiny models: names, and layers of two kinds.

Which layers have attention tells the entry `attention.head_count_kv`: one number for each of them.
"""

from collections.abc import Sequence


def layer_shapes(
    *, attends: bool, width: int, heads: int, kv_heads: int, head_dim: int, ffn: int, taps: int
) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer, by the names of transformers."""
    shapes: dict[str, tuple[int, ...]] = {
        "operator_norm.weight": (width,),
        "ffn_norm.weight": (width,),
    }
    if attends:
        shapes |= {
            "self_attn.q_proj.weight": (heads * head_dim, width),
            "self_attn.k_proj.weight": (kv_heads * head_dim, width),
            "self_attn.v_proj.weight": (kv_heads * head_dim, width),
            "self_attn.out_proj.weight": (width, heads * head_dim),
            "self_attn.q_layernorm.weight": (head_dim,),
            "self_attn.k_layernorm.weight": (head_dim,),
        }
    else:
        shapes |= {
            "conv.in_proj.weight": (3 * width, width),
            "conv.conv.weight": (width, 1, taps),
            "conv.out_proj.weight": (width, width),
        }
    return shapes | {
        "feed_forward.w1.weight": (ffn, width),
        "feed_forward.w3.weight": (ffn, width),
        "feed_forward.w2.weight": (width, ffn),
    }


def layer_types(kv_heads_of_layers: Sequence[int]) -> list[str]:
    """The kinds of layers in the words of transformers."""
    return ["full_attention" if each else "conv" for each in kv_heads_of_layers]


NAMES = {
    "operator_norm": "attn_norm",
    "self_attn.out_proj": "attn_output",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "conv.in_proj": "shortconv.in_proj",
    "conv.conv": "shortconv.conv",
    "conv.out_proj": "shortconv.out_proj",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w3": "ffn_up",
    "feed_forward.w2": "ffn_down",
    "ffn_norm": "ffn_norm",
    "model.embedding_norm": "token_embd_norm",
}
