"""The formats of strings that are enforced: each by patterns that all match, in full.

They are those of RFC 3339 (times), RFC 5321 (email), RFC 1123 (host names), RFC 3986 and 3987 (URIs
and IRIs), RFC 4291 (IPv6), RFC 6570 (templates), RFC 6901 (JSON pointers) and RFC 9562 (UUIDs), as
JSON Schema cites them. A leap second is the last one of a day in UTC, whatever the zone.
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


def _leap_seconds() -> str:
    """Times that are 23:59:60 in UTC: minutes and hours are asked for one thing each."""
    east = [f"..:{m:02}.*\\+..:{(m + 1) % 60:02}" for m in range(60)]
    west = [f"..:{m:02}.*-..:{59 - m:02}" for m in range(60)]
    hours = [f"{h:02}:(?!59).*\\+{h:02}:" for h in range(24)]
    hours += [f"{h:02}:59.*\\+{(h + 1) % 24:02}:" for h in range(24)]
    hours += [f"{h:02}:.*-{23 - h:02}:" for h in range(24)]
    offset = f"(?={'|'.join(east + west)})(?={'|'.join(hours)}){_CLOCK}:60{_PART}[+-]{_CLOCK}"
    return f"23:59:60{_PART}[Zz]|{offset}"


_TIME = f"(?:{_CLOCK}:[0-5]\\d{_PART}{_ZONE}|{_leap_seconds()})"
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
# Without hyphens at 3 and 4, which names have that are encoded: no pattern tells the sound ones.
_PLAIN_LABEL = (
    "[A-Za-z0-9](?:[A-Za-z0-9]|[A-Za-z0-9-]"
    "(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?|-[A-Za-z0-9](?:[A-Za-z0-9-]{0,58}[A-Za-z0-9])?))?"
)
_HOST = f"{_LABEL}(?:\\.{_LABEL})*"
_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ENCODED = "%[0-9A-Fa-f]{2}"
_QUOTED = '"(?:[ !#-\\[\\]-~]|\\\\[ -~])*"'
_ADDRESS = f"\\[(?:{_IPV4}|IPv6:(?:{_IPV6}))\\]"
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
_BEYOND = (
    "\\u00A0-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFEF"
    + "".join(f"\\u{{{plane:X}0000}}-\\u{{{plane:X}FFFD}}" for plane in range(1, 14))
    + "\\u{E1000}-\\u{EFFFD}"
)
_PRIVATE = "\\uE000-\\uF8FF\\u{F0000}-\\u{FFFFD}\\u{100000}-\\u{10FFFD}"
_VARIABLE = (
    f"(?:[A-Za-z0-9_]|{_ENCODED})(?:\\.?(?:[A-Za-z0-9_]|{_ENCODED}))*(?::[1-9]\\d{{0,3}}|\\*)?"
)
_TEMPLATE = (
    f'(?:[^\\u0000-\\u0020\\u007F-\\u009F"%<>\\\\^`{{|}}]|{_ENCODED}'
    f"|\\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\\}})*"
)
_DAY = "(?:\\d+D|\\d+M(?:\\d+D)?|\\d+Y(?:\\d+M(?:\\d+D)?)?)"
_SPAN = "(?:T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S))"


def _international(pattern: str) -> str:
    """A pattern of URIs, made one of IRIs (RFC 3987)."""
    pattern = pattern.replace("A-Za-z0-9._~", f"A-Za-z0-9._~{_BEYOND}")
    return pattern.replace("|[/?])*)?(?:#", f"|[/?{_PRIVATE}])*)?(?:#")


FORMATS: dict[str, tuple[str, ...]] = {
    "date": (_DATE,),
    "time": (_TIME,),
    "date-time": (f"{_DATE}[Tt]{_TIME}",),
    "duration": (f"P(?:{_DAY}{_SPAN}?|{_SPAN}|\\d+W)",),
    "email": (f"(?:{_ATOM}(?:\\.{_ATOM})*|{_QUOTED})@(?:{_HOST}|{_ADDRESS})",),
    "hostname": (f"{_PLAIN_LABEL}(?:\\.{_PLAIN_LABEL})*", ".{1,253}"),
    "ipv4": (_IPV4,),
    "ipv6": (_IPV6,),
    "uri": (f"{_SCHEME}{_FULL}{_TAIL}",),
    "uri-reference": (f"(?:{_SCHEME}{_FULL}|{_RELATIVE}){_TAIL}",),
    "iri": (_international(f"{_SCHEME}{_FULL}{_TAIL}"),),
    "iri-reference": (_international(f"(?:{_SCHEME}{_FULL}|{_RELATIVE}){_TAIL}"),),
    "uri-template": (_TEMPLATE,),
    "uuid": ("[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",),
    "json-pointer": (_POINTER,),
    "relative-json-pointer": (f"(?:0|[1-9]\\d*)(?:#|{_POINTER})",),
}

UNENFORCED = {
    "idn-email": f"{_ATOM}(?:\\.{_ATOM})*@{_HOST}",
    "idn-hostname": "[A-Za-z0-9]{1,63}(?:\\.[A-Za-z0-9]{1,63}){0,3}",
    "regex": "[^\\\\*+?()\\[\\]{}]*",
}
"""Formats of the standard that no pattern tells, and texts that are of them for certain.

A schema whose other keywords allow no other texts can be enforced. Formats that the standard
doesn't know say nothing of values.
"""
