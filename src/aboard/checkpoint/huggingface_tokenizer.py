"""The tokenizer of a Hugging Face folder as the metadata of a GGUF file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from aboard.checkpoint.huggingface_entries import fit, json_entries
from aboard.checkpoint.huggingface_files import MAX_JSON_BYTES, Fields, Folder
from aboard.checkpoint.huggingface_roles import (
    added_elsewhere,
    role_entries,
    role_texts,
    stop_entries,
    with_further_tokens,
)
from aboard.checkpoint.huggingface_templates import template_entries
from aboard.checkpoint.sentencepiece_entries import sentencepiece_entries
from aboard.checkpoint.sentencepiece_model import MAX_BYTES as MAX_MODEL_BYTES
from aboard.checkpoint.sentencepiece_model import read_sentencepiece
from aboard.checkpoint.tekken import TEKKEN_FILE, tekken_json
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.checkpoint.tokenizer_fields import PREFIX
from aboard.checkpoint.tokenizer_json import TokenizerJson, read_tokenizer_json
from aboard.checkpoint.tokenizer_metadata import SPACES
from aboard.checkpoint.tokenizer_pipeline import Template, read_template
from aboard.checkpoint.vocabulary_merges import MERGES_FILE, VOCABULARY_FILE, merged_json
from aboard.checkpoint.wordpiece_entries import VOCABULARY, vocabulary_json, wordpiece_entries
from aboard.errors import TokenizerError

_log = logging.getLogger(__name__)

# With these a tokenizer.model's own ids hold; XLMRobertaTokenizer, say, shifts them by one.
_PLAIN_CLASSES = (
    *("LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizer", "GemmaTokenizerFast"),
    *("PreTrainedTokenizerFast", "TokenizersBackend"),
)
_OTHERS = ("tiktoken.model", "spiece.model", "sentencepiece.bpe.model")


def tokenizer_metadata(folder: Path, n_vocabulary: int) -> dict[str, object]:
    """The entries `tokenizer.*` for a folder, as llama.cpp's converter writes them.

    tokenizer.json is used as it is. What the entries of GGUF can't express exactly goes into the
    file whole, as `tokenizer.huggingface.json`, and is then what `Tokenizer` encodes by.

    Parameters
    ----------
    folder : Path
        Where tokenizer.json is, or else tokenizer.model, Mistral's tokenizer.model.v<N> or
        tekken.json, BERT's vocab.txt, or vocab.json and merges.txt.
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
    if files.has("tokenizer.json"):
        entries = _of_json(files, files.json("tokenizer.json", MAX_JSON_BYTES), n_vocabulary)
    elif model := _sentencepiece_file(files):
        entries = _of_sentencepiece(files, model, n_vocabulary)
    elif files.has(TEKKEN_FILE):
        content, roles = tekken_json(files)
        entries = _of_json(files, content, n_vocabulary, roles)
    elif files.has(VOCABULARY):
        entries = _of_json(files, vocabulary_json(files), n_vocabulary)
    elif files.has(VOCABULARY_FILE) or files.has(MERGES_FILE):
        entries = _of_json(files, merged_json(files), n_vocabulary)
    else:
        raise _no_tokenizer(files)
    entries |= stop_entries(files, entries, n_vocabulary)
    try:
        Tokenizer.from_gguf(entries)  # what it would refuse is refused here
    except TokenizerError as error:
        raise TokenizerError(f"{files.path}: {error}", hint=error.hint) from None
    return entries | template_entries(files)


def as_gemma4(entries: dict[str, object]) -> dict[str, object]:
    """`entries` under llama.cpp's name for the tokenizer of Gemma 4, where they are such a one.

    Named `llama`, other programs would merge by the scores.
    """
    if entries.get(SPACES) != "never":
        return entries
    others = {key: value for key, value in entries.items() if key not in (SPACES, f"{PREFIX}pre")}
    return others | {f"{PREFIX}model": "gemma4"}


def _sentencepiece_file(files: Folder) -> str | None:
    """The name of the SentencePiece model, which Mistral numbers by version; None without one."""
    if files.has("tokenizer.model"):
        return "tokenizer.model"
    names = sorted(path.name for path in files.path.glob("tokenizer.model.v*"))
    if len(names) > 1:
        raise TokenizerError(
            f"{files.path}: has {', '.join(names[:8])}, expected one of them",
            hint="Keep the one that the model was made with, as tokenizer.model.",
        )
    return names[0] if names else None


def _of_json(
    files: Folder,
    content: Fields,
    n_vocabulary: int,
    roles: Mapping[str, int] | None = None,
) -> dict[str, object]:
    """`roles`: ids by the tokenizer itself, for what other files don't say."""
    found = read_tokenizer_json(content)
    found = fit(with_further_tokens(files, found), n_vocabulary)
    if found.kind == "WordPiece":
        entries = wordpiece_entries(files, found, n_vocabulary)
    else:
        entries = json_entries(found, n_vocabulary, _scores(files, found))
    template = read_template(found.fields)
    entries |= role_entries(files, found.id_of, template, n_vocabulary, roles)
    unknown = found.model.optional_text("unk_token") if found.kind != "Unigram" else None
    if unknown is not None:
        entries.setdefault(f"{PREFIX}unknown_token_id", found.id_of(unknown))
    return entries


def _of_sentencepiece(files: Folder, name: str, n_vocabulary: int) -> dict[str, object]:
    where = str(files.path / name)
    model = read_sentencepiece(files.read(name, MAX_MODEL_BYTES), where)
    added = list(added_elsewhere(files))
    config = files.json("tokenizer_config.json")
    if model.kind == "Unigram":
        _check_class(config)
    entries = sentencepiece_entries(model, added, n_vocabulary, where)
    ids = {piece.text: i for i, piece in enumerate(model.pieces)}
    ids |= {token.content: token.token_id for token in added if token.token_id < n_vocabulary}
    bos_id, eos_id = model.roles.get("bos"), model.roles.get("eos")
    texts = role_texts(files)
    template = Template(
        first=ids.get(texts.get("bos", ""), bos_id) if config.flag("add_bos_token", True) else None,
        last=ids.get(texts.get("eos", ""), eos_id) if config.flag("add_eos_token") else None,
    )
    return entries | role_entries(files, ids.get, template, n_vocabulary, model.roles)


def _check_class(config: Fields) -> None:
    """Refuse the classes of transformers that number or frame the pieces in ways of their own."""
    kind = config.optional_text("tokenizer_class")
    if kind is not None and kind not in _PLAIN_CLASSES:
        raise TokenizerError(
            f"{config.where}: tokenizer_class is {kind[:40]!r}, expected LlamaTokenizer beside "
            "a Unigram tokenizer.model",
            hint="Save the tokenizer as tokenizer.json with transformers and import that.",
        )


def _scores(files: Folder, found: TokenizerJson) -> dict[int, float] | None:
    """The scores of a tokenizer.model beside a tokenizer.json, where it spells the same tokens.

    They decide nothing here, but other programs merge by them.
    """
    if found.kind != "BPE" or not files.has("tokenizer.model"):
        return None
    try:
        content = files.read("tokenizer.model", MAX_MODEL_BYTES)
        pieces = read_sentencepiece(content, "tokenizer.model").pieces
    except TokenizerError as error:
        _log.info("%s: not used for scores: %s", files.path, error)
        return None
    same = all(i < len(pieces) and pieces[i].text == text for text, i in found.ids.items())
    return {i: piece.score for i, piece in enumerate(pieces)} if same else None


def _no_tokenizer(files: Folder) -> TokenizerError:
    others = [name for name in _OTHERS if files.has(name)]
    found = f"only {', '.join(others)}" if others else "no tokenizer"
    return TokenizerError(
        f"{files.path}: has {found}, expected tokenizer.json, tokenizer.model, {TEKKEN_FILE}, "
        f"{VOCABULARY}, or {VOCABULARY_FILE} and {MERGES_FILE}",
        hint="Get the folder again with these files, or save the tokenizer with transformers.",
    )
