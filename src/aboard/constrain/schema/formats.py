"""The formats of strings that are enforced: each by patterns that all match, in full.

They are those of RFC 3339 (times), RFC 5321 (email), RFC 1123 (host names), RFC 3986 (URIs), RFC 4291
(IPv6), RFC 6901 (JSON pointers) and RFC 9562 (UUIDs), as JSON Schema cites them.
"""

from __future__ import annotations

_LEAP = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = (
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)"
    f"|02-(?:0[1-9]|1\\d|2[0-8]))|{_LEAP}-02-29)"
)
_CLOCK = "(?:[01]\\d|2[0-3]):[0-5]\\d"
_PART = "(?:\\.\\d+)?"
_ZONE = f"(?:[Zz]|[+-]{_CLOCK})"
_TIME = f"(?:{_CLOCK}:[0-5]\\d{_PART}{_ZONE}|23:59:60{_PART}(?:[Zz]|[+-]00:00))"
_OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
_IPV4 = f"{_OCTET}(?:\\.{_OCTET}){{3}}"
_HEX = "[0-9A-Fa-f]{1,4}"
_LAST = f"(?:{_HEX}:{_HEX}|{_IPV4})"


def _ipv6() -> str:
    """Eight groups, the last two of which may be an IPv4 address; one run of zeros is left out."""
    options = [f"(?:{_HEX}:){{6}}{_LAST}", f"::(?:{_HEX}:){{5}}{_LAST}"]
    for n_before in range(1, 6):
        before = f"(?:(?:{_HEX}:){{0,{n_before - 1}}}{_HEX})?"
        options.append(f"{before}::(?:{_HEX}:){{{5 - n_before}}}{_LAST}")
    options += [f"(?:(?:{_HEX}:){{0,5}}{_HEX})?::{_HEX}", f"(?:(?:{_HEX}:){{0,6}}{_HEX})?::"]
    return "|".join(options)


_IPV6 = _ipv6()
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = f"{_LABEL}(?:\\.{_LABEL})*"
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ENCODED = "%[0-9A-Fa-f]{2}"
_CHAR = f"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ENCODED})"
_NAME = f"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_ENCODED})*"
_USER = f"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ENCODED})*"
_FUTURE = "[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+"
_AUTHORITY = f"(?:{_USER}@)?(?:\\[(?:{_IPV6}|{_FUTURE})\\]|{_NAME})(?::\\d*)?"
_PATHS = f"(?:/{_CHAR}*)*"
_TAIL = f"(?:\\?(?:{_CHAR}|[/?])*)?(?:#(?:{_CHAR}|[/?])*)?"
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*:"
_FULL = f"(?://{_AUTHORITY}{_PATHS}|/(?:{_CHAR}+{_PATHS})?|{_CHAR}+{_PATHS}|)"
_NO_COLON = f"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_ENCODED})+"
_RELATIVE = f"(?://{_AUTHORITY}{_PATHS}|/(?:{_CHAR}+{_PATHS})?|{_NO_COLON}{_PATHS}|)"
_POINTER = "(?:/(?:[^~/]|~[01])*)*"
_DAY = "(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)"
_SPAN = "(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))"

FORMATS: dict[str, tuple[str, ...]] = {
    "date": (_DATE,),
    "time": (_TIME,),
    "date-time": (f"{_DATE}[Tt]{_TIME}",),
    "duration": (f"P(?:{_DAY}{_SPAN}?|{_SPAN}|\\d+W)",),
    "email": (f"{_ATOM}(?:\\.{_ATOM})*@(?:{_HOST}|\\[{_IPV4}\\])",),
    "hostname": (_HOST, ".{1,253}"),
    "ipv4": (_IPV4,),
    "ipv6": (_IPV6,),
    "uri": (f"{_SCHEME}{_FULL}{_TAIL}",),
    "uri-reference": (f"(?:{_SCHEME}{_FULL}|{_RELATIVE}){_TAIL}",),
    "uuid": ("[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",),
    "json-pointer": (_POINTER,),
    "relative-json-pointer": (f"(?:0|[1-9]\\d*)(?:#|{_POINTER})",),
}

UNENFORCED = frozenset("idn-email idn-hostname iri iri-reference uri-template regex".split())
"""Formats of the standard that no pattern tells. Those that it doesn't know say nothing of values."""
