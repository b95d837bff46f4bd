"""How a folder of sentence-transformers makes one vector of a text: the files beside config.json.

modules.json lists steps; known are the transformer, a pooling, and a division by the length.
Of a folder without it the vector is the mean of all tokens' vectors, as sentence-transformers does.
"""

from __future__ import annotations

from pathlib import Path

from aboard.checkpoint.file_bytes import is_there, read_whole
from aboard.checkpoint.json_text import MAX_FILE_BYTES, parse_json, read_json
from aboard.errors import ConfigError, MalformedFile, UnsupportedFile
from aboard.models import Config
from aboard.models.bert import NORMALIZES, TEXT_LENGTH
from aboard.models.hyperparameters import finite

MODULES = "modules.json"
_LIBRARY = "sentence_transformers"
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


def embedding_entries(
    folder: Path, architecture: str, width: int, positions: int
) -> dict[str, object]:
    """The entries of a GGUF file that say what becomes of the tokens' vectors.

    Parameters
    ----------
    folder : Path
        Of the checkpoint.
    architecture : str
        What GGUF calls it.
    width : int
        Of the vectors.
    positions : int
        The tokens that a text may have at most.

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
        return {key: _POOLING["mean"], NORMALIZES: False} | _text_length(folder, positions)
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
    return entries | _text_length(_inside(folder, steps[0][1]), positions)


def _steps(folder: Path) -> list[tuple[str, str]] | None:
    """The kind of each step and its folder, None where there is no list of steps."""
    path = folder / MODULES
    if not is_there(path):
        return None
    found = parse_json(read_whole(path, MAX_FILE_BYTES), f"{path}:")
    if not isinstance(found, list) or not all(isinstance(step, dict) for step in found):
        raise MalformedFile(f"{path}: is no list of objects")
    steps = []
    for i, step in enumerate(found):
        members = Config(step, f"{path}: step {i}")
        members.ignore("idx", "name")
        package, _, kind = members.text("type", "").rpartition(".")
        if package.partition(".")[0] != _LIBRARY:
            raise UnsupportedFile(
                f"{path}: step {i} is {members.text('type', '')[:80]!r}, expected one of "
                f"{_LIBRARY}'s own",
                hint="It needs a program from somewhere else, which Aboard never runs.",
            )
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
    config = _optional(path)
    if config.has("default_prompt_name"):
        raise UnsupportedFile(
            f"{path}: puts a prompt before every text (default_prompt_name)",
            hint="Aboard would leave it out, and the vectors would be others.",
        )
    # Versions, prompts to be asked for, and how vectors are compared.
    config.ignore("__version__", "prompts", "similarity_fn_name")
    config.finish()


def _text_length(folder: Path, positions: int) -> dict[str, object]:
    """How many tokens a text is cut to: as the model says, else as its tokenizer does."""
    config = _optional(folder / "sentence_bert_config.json")
    config.must_be("do_lower_case", False)  # before the tokenizer, which does it itself
    if config.has("max_seq_length"):
        found = config.integer("max_seq_length")
    else:
        found = _tokenizer_length(folder, positions)
    config.finish()
    return {} if found == positions else {TEXT_LENGTH: found}


def _tokenizer_length(folder: Path, positions: int) -> int:
    """The `model_max_length` of a tokenizer; one that has no limit tells an enormous number."""
    path = folder / "tokenizer_config.json"
    told = finite((read_json(path) if is_there(path) else {}).get("model_max_length", positions))
    if told is None or told < 1:
        raise ConfigError(f"{path}: model_max_length is {told}, expected a number of tokens")
    return min(int(told), positions)


def _optional(path: Path) -> Config:
    """The config at `path`, an empty one where there is none."""
    return Config(read_json(path) if is_there(path) else {}, str(path))
