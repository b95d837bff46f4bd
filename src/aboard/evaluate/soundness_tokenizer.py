"""Does the tokenizer give back what it was given, and does it fit the weights?

What must come back depends on its kind. Byte-level BPE: every text, or its normal form C where the
family normalises. SentencePiece with a token for each byte: every text. Without one, texts in some
scripts may hold characters it has no token for: a warning, except for `texts.PLAIN`. Where the file
holds a whole tokenizer.json, takes spaces together or replaces characters, that may change texts,
which is told, but not plain English.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from aboard.checkpoint.pretokenizers import WORD_RULES
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.checkpoint.tokenizer_metadata import TokenizerMetadata, read_tokenizer_metadata
from aboard.errors import AboardError, TokenizerError, UsageError
from aboard.evaluate.report import Finding, Outcome, finding
from aboard.evaluate.subject import Subject
from aboard.evaluate.texts import PLAIN, SCRIPTS

TOKENIZER = ("tokenizer", "vocabulary", "round-trip", "special-tokens", "token-texts")

_EMBEDDING = "token_embd.weight"


def check_tokenizer(subject: Subject) -> Iterator[Finding]:
    """The tokenizer alone, and against the embedding."""
    expected = "a tokenizer that Aboard knows, without contradictions"
    if "tokenizer.ggml.model" not in subject.metadata:
        yield finding(
            TOKENIZER[0], expected, "", warnings=["the file has none: it can be run on ids alone"]
        )
        return
    try:
        known = read_tokenizer_metadata(subject.metadata)
        tokenizer = Tokenizer.from_gguf(subject.metadata)
    except TokenizerError as error:
        yield finding(TOKENIZER[0], expected, "", failures=[str(error)])
        yield from _vocabulary(subject, _n_tokens(subject))
        return
    subject.tokenizer = tokenizer
    kind = "/".join(filter(None, (known.model, known.pre)))
    yield finding(TOKENIZER[0], expected, f"{kind}, {tokenizer.n_vocabulary:,} tokens")
    yield from _vocabulary(subject, tokenizer.n_vocabulary)
    if known.model == "bert":
        told = "WordPiece keeps no spaces, and often no case and no accents"
        yield Finding(name="round-trip", outcome=Outcome.SKIP, found=told)
    else:
        yield _round_trip(tokenizer, known)
    yield _special_tokens(tokenizer, known)
    yield _token_texts(tokenizer)


def _n_tokens(subject: Subject) -> int | None:
    tokens = subject.metadata.get("tokenizer.ggml.tokens")
    return len(tokens) if hasattr(tokens, "__len__") else None


def _vocabulary(subject: Subject, n_tokens: int | None) -> Iterator[Finding]:
    embedding = subject.file.tensors.get(_EMBEDDING) if subject.file else None
    if embedding is None or n_tokens is None:
        return
    n_rows = embedding.shape[0]
    counts = f"{n_tokens:,} tokens, the embedding has {n_rows:,} rows"
    yield finding(
        "vocabulary",
        "a row of the embedding for each token",
        counts,
        failures=[counts] if n_tokens > n_rows else [],
        warnings=[f"{counts}: ids without a text may be drawn"] if n_tokens < n_rows else [],
    )


def _round_trip(tokenizer: Tokenizer, known: TokenizerMetadata) -> Finding:
    is_free = known.embedded is not None or known.removes_extra_spaces or bool(known.charsmap)
    failures: list[str] = []
    warnings: list[str] = []
    vital = {"English"} if is_free else {*PLAIN}
    rule = WORD_RULES.get(known.pre or "")
    normalises = not is_free and rule is not None and known.model == "gpt2" and rule.nfc
    for name, text in {**PLAIN, **SCRIPTS}.items():
        wanted = unicodedata.normalize("NFC", text) if normalises else text
        try:
            ids = tokenizer.encode(text, add_special=False)
        except UsageError as error:
            (failures if name in vital else warnings).append(f"{name}: {error}")
            continue
        back = tokenizer.decode(ids, skip_special=False)
        if back == wanted:
            continue
        lacking = known.unknown_id in ids
        problem = "has characters without a token" if lacking else _difference(wanted, back)
        may_change = name not in vital and (is_free or lacking)
        (warnings if may_change else failures).append(f"{name}: {problem}")
    form = " in Unicode normal form C" if normalises else ""
    return finding(
        "round-trip",
        f"decoding gives back each text that was encoded{form}",
        f"{len(PLAIN) + len(SCRIPTS)} texts came back: code, white space, emoji, eleven scripts",
        failures=failures,
        warnings=warnings,
    )


def _difference(wanted: str, back: str) -> str:
    """Where two texts part."""
    same = next(
        (at for at, (a, b) in enumerate(zip(wanted, back, strict=False)) if a != b),
        min(len(wanted), len(back)),
    )
    return f"{wanted[same : same + 12]!r} came back as {back[same : same + 12]!r}"


def _special_tokens(tokenizer: Tokenizer, known: TokenizerMetadata) -> Finding:
    vital = tokenizer.stop_ids | {tokenizer.bos_id, tokenizer.eos_id}
    failures: list[str] = []
    warnings: list[str] = []
    special = sorted(known.control | known.user_defined)
    for token_id in special:
        text = tokenizer.piece(token_id).decode("utf-8", "replace")
        ids = tokenizer.encode(text, add_special=False)
        if ids != [token_id]:
            problem = f"{text[:40]!r} ({token_id}) is read as {str(ids)[:40]}"
            (failures if token_id in vital else warnings).append(problem)
    for role, role_id in (("BOS", tokenizer.bos_id), ("EOS", tokenizer.eos_id)):
        if role_id is not None and not tokenizer.is_control(role_id):
            text = tokenizer.piece(role_id).decode("utf-8", "replace")
            warnings.append(f"{role} is {text[:40]!r} ({role_id}), a token of plain text")
    if not tokenizer.stop_ids:
        warnings.append("no token ends an answer")
    return finding(
        "special-tokens",
        "the text of each special token is read as that token alone, none that begins or ends a "
        "text is plain text, and some token ends an answer",
        f"{len(special)}, of which {len(tokenizer.stop_ids)} end an answer",
        failures=failures,
        warnings=warnings,
    )


def _token_texts(tokenizer: Tokenizer) -> Finding:
    failures: list[str] = []
    empty: list[str] = []
    for token_id in range(tokenizer.n_vocabulary):
        try:
            if not tokenizer.piece(token_id):
                empty.append(f"token {token_id} has no text")
        except (AboardError, ValueError) as error:
            failures.append(f"token {token_id}: {error}")
    return finding(
        "token-texts",
        "each id stands for a text",
        f"all {tokenizer.n_vocabulary:,} ids",
        failures=failures,
        warnings=empty,
    )
