"""How a folder of sentence-transformers makes one vector of a text: the files beside config.json.

modules.json lists steps; known are the transformer, a pooling, and a division by the length.
Of a folder without it the vector is the mean of all tokens' vectors, as sentence-transformers does.
"""

from __future__ import annotations

from pathlib import Path

from aboard.checkpoint.file_bytes import read_whole
from aboard.checkpoint.json_text import MAX_FILE_BYTES, parse_json, read_json
from aboard.errors import ConfigError, MalformedFile, UnsupportedFile
from aboard.models import Config
from aboard.models.bert import NORMALIZES, TEXT_LENGTH

MODULES = "modules.json"
_POOLING = {"mean": 1, "cls": 2}  # as GGUF numbers them
# Older files have a flag for each kind.
_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    **{
        f"pooling_mode_{kind}": kind
        for kind in ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    },
}


def embedding_entries(folder: Path, architecture: str, width: int) -> dict[str, object]:
    """The entries of a GGUF file that say what becomes of the tokens' vectors.

    Parameters
    ----------
    folder : Path
        Of the checkpoint.
    architecture : str
        What GGUF calls it.
    width : int
        Of the vectors.

    Raises
    ------
    CheckpointError
        A file can't be read.
    UnsupportedFile
        There is a step that Aboard doesn't know.
    ConfigError
        A setting is unknown, or contradicts another.
    """
    steps = _steps(folder)
    key = f"{architecture}.pooling_type"
    if steps is None:
        return {key: _POOLING["mean"], NORMALIZES: False}
    kinds = [kind for kind, _ in steps]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedFile(
            f"{folder / MODULES}: the steps are {', '.join(kinds)[:200]}, expected Transformer, "
            "Pooling and, if the vectors are to have a length of 1, Normalize",
            hint="Without the other steps the vectors would not be the model's.",
        )
    entries: dict[str, object] = {
        key: _POOLING[_pooling(_inside(folder, steps[1][1]) / "config.json", width)],
        NORMALIZES: len(kinds) == 3,
    }
    _check_prompts(folder)
    return entries | _text_length(_inside(folder, steps[0][1]))


def _steps(folder: Path) -> list[tuple[str, str]] | None:
    """The kind of each step and its folder, None where there is no list of steps."""
    path = folder / MODULES
    if not path.exists():
        return None
    found = parse_json(read_whole(path, MAX_FILE_BYTES), f"{path}:")
    if not isinstance(found, list) or not all(isinstance(step, dict) for step in found):
        raise MalformedFile(f"{path}: is no list of objects")
    steps = []
    for i, step in enumerate(found):
        members = Config(step, f"{path}: step {i}")
        members.ignore("idx", "name")
        kind = members.text("type", "").rpartition(".")[2]
        steps.append((kind, members.text("path", "")))
        if step.get("kwargs"):
            raise UnsupportedFile(f"{path}: step {i} has settings of its own")
        members.ignore("kwargs")
        members.finish()
    return steps


def _inside(folder: Path, name: str) -> Path:
    """A folder of `folder`, which a stranger named."""
    if name in ("", "."):
        return folder
    if name != Path(name).name or name == "..":
        raise MalformedFile(f"{folder / MODULES}: path is {name[:60]!r}, expected a folder's name")
    return folder / name


def _pooling(path: Path, width: int) -> str:
    config = Config(read_json(path), str(path))
    for key in ("word_embedding_dimension", "embedding_dimension"):
        config.must_be(key, width)
    config.ignore("include_prompt")  # there is none: see `_check_prompts`
    chosen = {kind for flag, kind in _FLAGS.items() if config.flag(flag, False)}
    if config.has("pooling_mode"):
        chosen.add(config.text("pooling_mode", ""))
    config.finish()
    if len(chosen) != 1 or not chosen <= _POOLING.keys():
        raise ConfigError(
            f"{path}: pools by {' and '.join(sorted(chosen)) or 'nothing'}, "
            f"Aboard understands {' or '.join(_POOLING)}"
        )
    return chosen.pop()


def _check_prompts(folder: Path) -> None:
    """Refuse a prompt that is put before every text; those to be asked for are the caller's."""
    path = folder / "config_sentence_transformers.json"
    config = Config(read_json(path) if path.exists() else {}, str(path))
    if config.has("default_prompt_name"):
        raise UnsupportedFile(
            f"{path}: puts a prompt before every text (default_prompt_name)",
            hint="Aboard would leave it out, and the vectors would be others.",
        )


def _text_length(folder: Path) -> dict[str, object]:
    """How many tokens a text is cut to."""
    path = folder / "sentence_bert_config.json"
    config = Config(read_json(path) if path.exists() else {}, str(path))
    config.must_be("do_lower_case", False)  # before the tokenizer, which does it itself
    found: dict[str, object] = {}
    if config.has("max_seq_length"):
        found[TEXT_LENGTH] = config.integer("max_seq_length")
    return found
