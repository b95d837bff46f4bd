"""The tokenizer of a Hugging Face folder as the metadata of a GGUF file."""

from __future__ import annotations

from pathlib import Path

from aboard.checkpoint.huggingface_entries import fit, json_entries
from aboard.checkpoint.huggingface_files import MAX_JSON_BYTES, Folder
from aboard.checkpoint.huggingface_roles import role_entries, stop_entries, with_further_tokens
from aboard.checkpoint.huggingface_templates import template_entries
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.checkpoint.tokenizer_json import read_tokenizer_json
from aboard.checkpoint.tokenizer_pipeline import read_template
from aboard.errors import TokenizerError

_OTHERS = ("tekken.json", "vocab.json", "vocab.txt", "tiktoken.model", "spiece.model")


def tokenizer_metadata(folder: Path, n_vocabulary: int) -> dict[str, object]:
    """The entries `tokenizer.*` for a folder, as llama.cpp's converter writes them.

    tokenizer.json is used as it is. What the entries of GGUF can't express exactly goes into the
    file whole, as `tokenizer.huggingface.json`, and is then what `Tokenizer` encodes by.

    Parameters
    ----------
    folder : Path
        Where tokenizer.json, or else tokenizer.model, is.
    n_vocabulary : int
        How many rows the model has for tokens; beyond those of the tokenizer, unused tokens
        `[PAD<id>]` are added. An added token without a row is left out, with a warning.

    Returns
    -------
    dict
        Values are int, bool, str, lists of str, and arrays of int32 and float32.

    Raises
    ------
    TokenizerError
        A file is missing, damaged, contradicts another one, or says what Aboard doesn't know.
    """
    files = Folder(folder)
    if not files.has("tokenizer.json"):
        raise _no_tokenizer(files)
    found = read_tokenizer_json(files.json("tokenizer.json", MAX_JSON_BYTES))
    found = fit(with_further_tokens(files, found), n_vocabulary)
    entries = json_entries(found, n_vocabulary)
    template = read_template(found.fields)
    entries |= role_entries(files, found.id_of, template, n_vocabulary)
    unknown = found.model.optional_text("unk_token") if found.kind == "BPE" else None
    if unknown is not None:
        entries.setdefault("tokenizer.ggml.unknown_token_id", found.id_of(unknown))
    entries |= stop_entries(files, entries, n_vocabulary)
    Tokenizer.from_gguf(entries)  # what it would refuse is refused here
    return entries | template_entries(files)


def _no_tokenizer(files: Folder) -> TokenizerError:
    others = [name for name in _OTHERS if files.has(name)]
    found = f"only {', '.join(others)}" if others else "no tokenizer"
    return TokenizerError(
        f"{files.path}: has {found}, expected tokenizer.json or tokenizer.model",
        hint="Get the folder again with these files, or save the tokenizer with transformers.",
    )
