"""Writes tests/golden/import: how transformers describes the tiny models it saves.

    python tools/golden_import.py            # write the files anew
    python tools/golden_import.py --check    # derive them again; exit 1 where something differs

The models are the float32 ones of tools/golden.py, whose logits are kept there. What
`save_pretrained` writes beside the config is checked here, not stored: its safetensors must hold
just the weights, by the names and in the shapes, that the tests make such folders of.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PreTrainedModel,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
)

import golden

FOLDER = golden.GOLDEN / "import"
_OF_THE_VERSION = ("transformers_version",)


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    arguments = parser.parse_args()
    golden.torch.manual_seed(0)
    files = {
        "configs.json": {
            name: _llama_config(case) for name, case in golden.CASES.items() if case.fmt == "F32"
        },
        "families.json": {name: _family_config(case) for name, case in golden.FAMILY_CASES.items()},
    }
    files["towers.json"] = {
        name: _with_tower(golden.FAMILY_CASES[name], make) for name, make in _TOWERS.items()
    }
    wrong = 0
    for name, configs in files.items():
        if arguments.check:
            wrong += _n_wrong(FOLDER / name, configs)
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(_text(configs))
            print(f"golden: wrote {len(configs)} configs to {name}")
    return 1 if wrong else 0


def _n_wrong(path: Path, configs: Mapping[str, object]) -> int:
    """How many configs are otherwise than in the file, each told in a line."""
    stored = json.loads(path.read_text())
    wrong = [
        name for name in configs.keys() | stored.keys() if configs.get(name) != stored.get(name)
    ]
    for name in sorted(wrong):
        print(f"golden: {name}: transformers saves {configs.get(name)}, kept: {stored.get(name)}")
    if not wrong:
        print(f"golden: {len(configs)} configs are what transformers saves")
    return len(wrong)


def _llama_config(case: golden.Case) -> dict[str, Any]:
    weights = golden.llama_weights(case.shape, case.seed)
    return saved_config(golden.transformers_model(case.shape, weights), weights)


def _family_config(case: golden.Case) -> dict[str, Any]:
    weights = golden.random_weights(case.shape, case.seed)
    return saved_config(golden.family_model(case.shape, weights), weights)


def _gemma3(text: dict[str, Any], tied: bool) -> PreTrainedModel:
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, tie_word_embeddings=tied
    )
    return Gemma3ForConditionalGeneration(config)


def _mistral3(text: dict[str, Any], tied: bool) -> PreTrainedModel:
    vision = {"model_type": "pixtral", "hidden_size": 16, "intermediate_size": 16}
    vision |= {"num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    vision |= {"image_size": 32, "patch_size": 16}
    config = Mistral3Config(text_config=text, vision_config=vision, tie_word_embeddings=tied)
    return Mistral3ForConditionalGeneration(config)


def _qwen3_5(text: dict[str, Any], tied: bool) -> PreTrainedModel:
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    vision |= {"patch_size": 4, "out_hidden_size": text["hidden_size"]}
    config = Qwen3_5Config(text_config=text, vision_config=vision, tie_word_embeddings=tied)
    return Qwen3_5ForConditionalGeneration(config)


def _gemma4(text: dict[str, Any], tied: bool) -> PreTrainedModel:
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    vision |= {"num_attention_heads": 2, "num_key_value_heads": 2, "position_embedding_size": 8}
    audio = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio |= {"subsampling_conv_channels": [4, 4], "output_proj_dims": 16}
    config = Gemma4Config(
        text_config=text | {"pad_token_id": 0},
        vision_config=vision,
        audio_config=audio,
        tie_word_embeddings=tied,
    )
    return Gemma4ForConditionalGeneration(config)


def _gemma4_unified(text: dict[str, Any], tied: bool) -> PreTrainedModel:
    not_there = ("_per_layer_input", "experts", "moe_")
    own = {key: value for key, value in text.items() if not any(each in key for each in not_there)}
    vision = {"mm_embed_dim": 16, "mm_posemb_size": 8, "output_proj_dims": 16}
    vision |= {"patch_size": 4, "pooling_kernel_size": 1}
    config = Gemma4UnifiedConfig(
        text_config=own | {"model_type": "gemma4_unified_text", "pad_token_id": 0},
        vision_config=vision,
        audio_config={"audio_embed_dim": 16},
        tie_word_embeddings=tied,
    )
    return Gemma4UnifiedForConditionalGeneration(config)


_TOWERS: dict[str, Callable[[dict[str, Any], bool], PreTrainedModel]] = {
    "gemma3": _gemma3,
    "mistral3": _mistral3,
    "mistral": _mistral3,
    "qwen35": _qwen3_5,
    "qwen35_odd": _qwen3_5,
    "gemma4": _gemma4,
    "gemma4_large": _gemma4_unified,
}


def _with_tower(
    case: golden.Case, make: Callable[[dict[str, Any], bool], PreTrainedModel]
) -> dict[str, Any]:
    """A model that sees: its config, and the shapes of what it has beside its text model.

    Fails where it answers a text otherwise than the text model alone.
    """
    weights = golden.random_weights(case.shape, case.seed)
    text = golden.family_model(case.shape, weights)
    model = make(text.config.to_dict(), case.shape.tied).eval()
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.get_output_embeddings().load_state_dict(text.get_output_embeddings().state_dict())
    tokens = golden.torch.tensor([list(range(80))])
    with golden.torch.inference_mode():
        want = text(tokens).logits
        error = float((model(tokens).logits - want).abs().max() / want.abs().max())
    if not error <= golden.TOLERANCE:
        raise SystemExit(f"with the tower, logits of a text are off by {error:.1e}")
    described, saved = _saved(model)
    layouts = [
        {f"language_model.{name}" for name in weights},
        {name.replace("model.", "model.language_model.", 1) for name in weights},
    ]
    own = next((names for names in layouts if names <= saved.keys()), None)
    if own is None:
        raise SystemExit(
            f"transformers saves {sorted(saved)}, expected {sorted(weights)} among them"
        )
    shapes = {name: list(saved[name].shape) for name in sorted(saved.keys() - own)}
    return {"config": described, "shapes": shapes}


def saved_config(model: PreTrainedModel, weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The config.json of a model; fails where the weights beside it are not these."""
    config, saved = _saved(model)
    if saved.keys() != weights.keys():
        raise SystemExit(f"transformers saves {sorted(saved)}, expected {sorted(weights)}")
    for name, values in weights.items():
        if saved[name].tobytes() != values.tobytes() or saved[name].shape != values.shape:
            raise SystemExit(f"transformers saves another {name}")
    return config


def _saved(model: PreTrainedModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The config.json and the tensors that `save_pretrained` writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        saved = load_file(Path(folder) / "model.safetensors")
    return {key: value for key, value in config.items() if key not in _OF_THE_VERSION}, saved


def _text(configs: Mapping[str, object]) -> str:
    """JSON with a config a line."""
    lines = (f"{json.dumps(name)}: {json.dumps(config)}" for name, config in configs.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    raise SystemExit(main())
