"""The text of a chat template, made safe for minijinja: limits first, then checks woven in.

minijinja's fuel pays for instructions and for the characters of strings. It does not pay for
nested lists that share their parts, nor for the depth of the parser's stack. So a template is cut
into tags here, what could overflow the stack is refused, and a call of `CHECK` follows every place
where a value gets a name: growth has to go through a name, as one expression is short.
"""

from __future__ import annotations

from itertools import pairwise, takewhile

from aboard.checkpoint.chat_template_namespaces import check_namespaces, parameters
from aboard.checkpoint.chat_template_tags import CLOSING, RESERVED, Tag, Word, cut, template_error
from aboard.errors import TemplateError

CHECK, LOOP, SCALAR, FORMAT = "aboard_check", "aboard_loop", "aboard_scalar", "aboard_format"
# Tests in which minijinja differs: none is iterable to it, and strings and dicts no sequences.
TESTS = ("iterable", "sequence")

# The longest of 70 published templates has 17,000 characters.
MAX_CHARS = 65_536
# Published templates have up to 20. Each deepens the parser's stack: 256 overflow 256 KiB of it.
MAX_ELIF = 128

_STATEMENTS = frozenset(
    [
        *("if", "elif", "else", "endif", "for", "endfor", "break", "continue"),
        *("set", "endset", "with", "endwith", "filter", "endfilter"),
        *("macro", "endmacro", "call", "endcall", "generation", "endgeneration"),
    ]
)
_KEYWORDS = frozenset(["and", "or", "not", "in", "is", "if", "else", "elif", "set", "for"])


def guard_source(source: str) -> str:
    """`source` with the checks woven in; what it renders stays the same.

    Raises
    ------
    TemplateError
        The template is too long, too deep, or uses a statement that chat templates don't have.
    """
    if len(source) > MAX_CHARS:
        raise TemplateError(
            f"the chat template has {len(source)} characters, expected at most {MAX_CHARS}"
        )
    parts = cut(source)
    tags = [part for part in parts if isinstance(part, Tag)]
    if sum(tag.words[0].text == "elif" for tag in tags) > MAX_ELIF:
        raise TemplateError(f"the chat template has more than {MAX_ELIF} elif")
    check_namespaces(source, tags)
    return "".join(part if isinstance(part, str) else _guarded(source, part) for part in parts)


def _guarded(source: str, tag: Tag) -> str:
    """The tag, and after it the check of what it gave a name."""
    first = tag.words[0]
    inside = _expression(source, tag.words)
    if tag.opening[:2] == "{{":
        return f"{tag.opening} {inside} {tag.closing}"
    if first.text not in _STATEMENTS:
        raise template_error(
            source, first.begin, f"statement {first.text[:40]!r} is unknown to chat templates"
        )
    if "generation" in first.text:  # marks the answer for training; renders as its content does
        inside = inside.replace("generation", "with", 1)
    names = _named(source, tag.words)
    if names is None:
        return f"{tag.opening} {inside} {tag.closing}"
    if first.text == "for":
        looped = _looped(source, tag.words)
        return (
            f"{tag.opening} do {LOOP}(({looped}) is none) %}}{{% {inside} %}}"
            f"{{% do {CHECK}() {tag.closing}"
        )
    # The sign that strips white space goes with the last of the two tags.
    return f"{tag.opening} {inside} %}}{{% do {CHECK}({names}) {tag.closing}"


def _named(source: str, words: list[Word]) -> str | None:
    """The names that a statement binds, as arguments of the check.

    Empty: only the time is checked. None: nothing needs a check.
    """
    statement = words[0].text
    if statement == "for":
        if words[-1].text == "recursive":
            raise template_error(source, words[-1].begin, "recursive loops are not supported")
        return ""
    if statement == "set":
        targets = list(takewhile(lambda word: word.text not in ("=", "|"), words[1:]))
        if len(targets) + 1 == len(words) or words[len(targets) + 1].text == "|":
            return None  # a block, which gives a string
        return "".join(word.text for word in targets if word.text not in ("(", ")"))
    if statement in ("macro", "call"):
        after = words[2:] if statement == "macro" else words[1:]
        return ", ".join(name for _, name in parameters(after))
    if statement == "with":
        return ", ".join(
            word.text
            for word, follows in pairwise(words[1:])
            if word.kind == "name" and follows.text == "="
        )
    return None


def _looped(source: str, words: list[Word]) -> str:
    """What a `for` loops over: minijinja takes none for an empty list, Jinja2 refuses it."""
    begin = next((i + 1 for i, word in enumerate(words) if word.text == "in"), len(words))
    depth = 0
    end = begin
    while end < len(words) and not (depth == 0 and words[end].text == "if"):
        depth += (words[end].text in CLOSING) - (words[end].text in CLOSING.values())
        end += 1
    if begin == end:
        raise template_error(source, words[0].begin, "'for' has nothing to loop over")
    return _expression(source, words[begin:end])


def _expression(source: str, words: list[Word]) -> str:
    """The words of a tag as they stand, but for what costs no fuel or differs from Jinja2.

    - Both sides of `*` must be a string or a number: a list times a number would be a long list.
    - The method `format` becomes a filter: a width takes memory, as in '{:999999999}'.format(1).
    - The tests `iterable` and `sequence` become our own.
    """
    texts = [word.text for word in words]
    if ("|", "safe") in pairwise(texts) and "+" in texts:
        # Jinja2 writes the other side of the plus as HTML: nobody meant that.
        raise template_error(source, words[0].begin, "'safe' next to '+' is not supported")
    written = [
        source[before.end if before else word.begin : word.end]
        for before, word in zip([None, *words], words, strict=False)
    ]
    for i, word in enumerate(words):
        if word.kind == "sign" and word.text == "*" and 0 < i < len(words) - 1:
            for side in {i - 1, _operand_end(words, i + 1)}:
                written[side] += f"|{SCALAR}"
        elif word.text == "." and texts[i + 1 : i + 3] == ["format", "("]:
            written[i] = "|"
            written[i + 1] = FORMAT
        elif word.kind == "name" and word.text in TESTS and i > 1:
            _take_over_test(words, written, i)
    return "".join(written)


def _take_over_test(words: list[Word], written: list[str], i: int) -> None:
    """`x is iterable` becomes `(x is undefined or x is aboard_iterable)`.

    Python is given None for what is undefined, which Jinja2 takes for iterable.
    """
    negated = words[i - 1].text == "not"
    verb = i - 1 - negated
    if words[verb].text != "is" or verb < 1:
        return
    begin = _operand_begin(words, verb - 1)
    tested = "".join(written[begin:verb])
    if negated:
        written[begin] = f" ({tested} is defined and {written[begin]}"
    else:
        written[begin] = f" ({tested} is undefined or {written[begin]}"
    written[i] = f" {RESERVED}{words[i].text})"


def _operand_begin(words: list[Word], i: int) -> int:
    """The index of the first word of the operand that ends at `i`."""
    while True:
        depth = 0
        while True:  # to the opening bracket, where the word closes one
            depth += (words[i].text in CLOSING.values()) - (words[i].text in CLOSING)
            if depth <= 0 or i == 0:
                break
            i -= 1
        before = words[i - 1] if i else None
        if before is None:
            return i
        if before.text in (".", "|"):
            i = max(i - 2, 0)
        elif words[i].text in ("(", "[") and (
            before.text in CLOSING.values()
            or before.kind == "string"
            or (before.kind == "name" and before.text not in _KEYWORDS)
        ):
            i -= 1
        else:
            return i


def _operand_end(words: list[Word], i: int) -> int:
    """The index of the last word of the operand that begins at `i`."""
    while i < len(words) - 1 and words[i].text in ("-", "+", "not"):
        i += 1
    depth = 0
    while True:
        depth += (words[i].text in CLOSING) - (words[i].text in CLOSING.values())
        if i + 1 == len(words):
            return i
        follows, text = words[i + 1].text, words[i].text
        if depth == 0 and follows not in ("(", "[", ".", "|") and text not in (".", "|"):
            return i
        i += 1
