"""URIs of schemas: how relative ones are resolved (RFC 3986, section 5), and what fragments say."""

from __future__ import annotations

import re

_PARTS = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(?:#(.*))?", re.S
)
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")


def split_fragment(uri: str) -> tuple[str, str]:
    """What stands before the # and, decoded, behind it."""
    before, _, fragment = uri.partition("#")
    return before, _decoded(fragment)


def resolved(base: str, reference: str) -> str:
    """The URI that a reference means in a document at `base`."""
    scheme, authority, path, query, fragment = _split(reference)
    tail = "" if fragment is None else f"#{fragment}"
    if scheme is not None:
        return reference
    base_scheme, base_authority, base_path, base_query, _ = _split(base)
    if authority is None:
        authority = base_authority
        if not path:
            path = base_path
            query = query if query is not None else base_query
        elif not path.startswith("/"):
            path = _without_dots(base_path[: base_path.rfind("/") + 1] + path)
        else:
            path = _without_dots(path)
    start = "" if base_scheme is None else f"{base_scheme}:"
    start += "" if authority is None else f"//{authority}"
    return f"{start}{path}{query or ''}{tail}"


def unescaped(step: str) -> str:
    """A step of a JSON pointer, decoded already as a fragment, as a key."""
    return step.replace("~1", "/").replace("~0", "~")


def _split(uri: str) -> tuple[str | None, str | None, str, str | None, str | None]:
    found = _PARTS.fullmatch(uri)
    assert found is not None  # it matches any text
    return found[1], found[2], found[3], found[4], found[5]


def _without_dots(path: str) -> str:
    kept: list[str] = []
    steps = path.split("/")
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if step == "..":
            if len(kept) > 1:
                kept.pop()
        elif step != ".":
            kept.append(step)
            continue
        if last:
            kept.append("")
    return "/".join(kept)


def _decoded(text: str) -> str:
    octets = _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8", "replace"))
    return octets.decode("utf-8", "replace")
