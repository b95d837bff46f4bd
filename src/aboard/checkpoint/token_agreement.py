"""Where the files of a Hugging Face folder say different things about its special tokens.

Nothing here is refused: transformers has a rule for each. A finding is a sentence for its reader.
"""

from __future__ import annotations

from pathlib import Path

from aboard.checkpoint.huggingface_files import Folder
from aboard.checkpoint.huggingface_roles import generation_stops, token_ids

_ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")


def folder_disagreements(folder: Path, eos_id: int | None, n_vocabulary: int) -> list[str]:
    """What the files of a folder say differently, above all about the end of an answer.

    Parameters
    ----------
    folder : Path
        Of the checkpoint.
    eos_id : int or None
        The token that ends a sequence, as the tokenizer's own files have it.
    n_vocabulary : int
        The rows of the model's embedding.

    Raises
    ------
    TokenizerError
        A file is damaged.
    """
    files = Folder(folder)
    where, stops = generation_stops(files, n_vocabulary)
    found = []
    if eos_id is not None and stops and eos_id not in stops:
        found.append(
            f"the tokenizer ends a sequence with {eos_id}, {Path(where).name} an answer with "
            f"{sorted(stops)}"
        )
    config, generation = files.json("config.json"), files.json("generation_config.json")
    for key in _ROLES:
        told = [token_ids(each, key, n_vocabulary) for each in (config, generation) if key in each]
        if len(told) == 2 and not set(told[0]) <= set(told[1]):
            found.append(f"{key} is {told[0]} in config.json, {told[1]} in generation_config.json")
    return found
