"""Templates that would take all memory or time, or overflow the stack, end as a refusal.

Each is rendered in a process of its own, with 200 MiB of memory beyond what Python and the library
take and ten seconds of processor time, so that one that gets through fails its test alone.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

RENDER = """
import resource, sys, time
from aboard.checkpoint.chat_template import ChatTemplate
from aboard.errors import TemplateError
import minijinja
pages = int(open("/proc/self/statm").read().split()[0]) if sys.platform == "linux" else 0
if pages:
    limit = pages * resource.getpagesize() + (200 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
for source in sys.stdin.read().split("\\x1e"):
    template = ChatTemplate({"default": source})
    try:
        text = template.render([{"role": "user", "content": "ab" * 20_000}])
        print("rendered", len(text), sep="\\t", flush=True)
    except TemplateError as error:
        print("refused", str(error).partition("\\n")[0], sep="\\t", flush=True)
"""
GROW = "{{% set ns = namespace(x={0}) %}}{{% for i in range(99999) %}}{{% set ns.x = {1} %}}"
ENDED = "{% endfor %}{{ ns.x|length }}"
BIG = "messages[0].content"


def grows(start: str, step: str) -> str:
    return GROW.format(start, step) + ENDED


HOSTILE = {
    # Strings and lists that double.
    "text": grows("'ab'", "ns.x ~ ns.x"),
    "sum of texts": grows("'ab'", "ns.x + ns.x"),
    "list": grows("[1]", "ns.x + ns.x"),
    "shared lists": grows("[1]", "[ns.x, ns.x]"),
    "shared dicts": grows("{}", "{'a': ns.x, 'b': ns.x}"),
    "shared tuples": grows("(1,)", "(ns.x, ns.x)"),
    "dict function": grows("{}", "dict(a=ns.x, b=ns.x)"),
    "deep list": grows("[1]", "[ns.x]"),
    "input": grows("messages", "ns.x + ns.x"),
    "slices": grows("[1, 2]", "ns.x[:] + ns.x[::-1]"),
    "macro": "{% macro f(x) %}{{ f([x, x]) }}{% endmacro %}{{ f([1]) }}",
    "macro default": "{% macro f(x, y=[x, x]) %}{{ f(y) }}{% endmacro %}{{ f([1]) }}",
    "caller": "{% macro f(x) %}{{ caller([x, x]) }}{% endmacro %}"
    "{% macro g(x) %}{% call(y) f(x) %}{{ g(y) }}{% endcall %}{% endmacro %}{{ g([1]) }}",
    "with": "{% macro f(x) %}{% with x=[x, x] %}{{ f(x) }}{% endwith %}{% endmacro %}{{ f([1]) }}",
    "namespace in itself": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "namespace in a list": "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}",
    "namespace by a macro": "{% macro f(a) %}{% set a.x = a %}{{ a.x }}{% endmacro %}"
    "{% set ns = namespace() %}{{ f(ns) }}",
    "namespace by keyword": "{% macro f(b, a) %}{% set a.x = [a] %}{% endmacro %}"
    "{% set ns = namespace() %}{{ f(1, a=ns) }}",
    "namespace renamed": "{% set n = namespace %}{% set x = n() %}{% set x.y = x %}{{ x }}",
    "namespace as filter": "{% set x = {}|map('list') %}{{ [namespace()] }}",
    # Sizes given as a number.
    "repeated text": "{{ 'a' * 999999999 }}",
    "text within the fuel": "{{ 'a' * 4999999 }}",
    "repeated list": "{{ ([1] * 99999999)|tojson }}",
    "repeated input": "{{ (9 * messages)|length }}",
    "twice repeated": "{{ ('a' * 99999 * 99999)|length }}",
    "range": "{{ range(99999999)|list }}",
    "padded by format": "{{ '%999999999d'|format(1) }}",
    "padded by the method": "{{ '{:999999999}'.format(1) }}",
    "format of an object": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "indented": "{{ 'a\nb'|indent(999999999) }}",
    "indented JSON": "{{ messages|tojson(indent=999999999) }}",
    "separated JSON": "{{ messages|tojson(separators=('a' * 99999, 'b')) }}",
    "replaced": f"{{{{ {BIG}|replace('a', {BIG}) }}}}",
    "replaced by method": f"{{{{ {BIG}.replace('', {BIG}) }}}}",
    "joined": f"{{{{ {BIG}|join({BIG}) }}}}",
    "power": "{{ 9 ** 999999999 }}",
    "batch": "{{ [1]|batch(999999999, 0)|list }}",
    "slice": "{{ [1]|slice(999999999)|list }}",
    # Time.
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "output": f"{{% for i in range(99999) %}}{{{{ {BIG} }}}}{{% endfor %}}",
    "text output": "{% for i in range(99999) %}" + "x" * 50_000 + "{% endfor %}",
    "captured": f"{{% set x %}}{{% for i in range(99999) %}}{{{{ {BIG} }}}}{{% endfor %}}"
    "{% endset %}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "endless block": "{% block a %}{{ self.a() }}{% endblock %}",
    # The stack of the parser.
    "minus": "{{ " + "-" * 30_000 + "1 }}",
    "not": "{{ " + "not " * 15_000 + "1 }}",
    "plus": "{{ 1" + "+1" * 30_000 + " }}",
    "power chain": "{{ 1" + "**1" * 20_000 + " }}",
    "filters": "{{ 1" + "|abs" * 15_000 + " }}",
    "attributes": "{{ x" + ".x" * 30_000 + " }}",
    "subscripts": "{{ x" + "[0]" * 20_000 + " }}",
    "calls": "{{ x" + "()" * 30_000 + " }}",
    "parentheses": "{{ " + "(" * 30_000 + ")" * 30_000 + " }}",
    "lists": "{{ " + "[" * 250 + "]" * 250 + " }}",
    "conditions": "{{ 1" + " if 1 else 1" * 5_000 + " }}",
    "elif": "{% if 1 %}" + "{% elif 1 %}" * 5_000 + "{% endif %}",
    "nested if": "{% if 1 %}" * 3_000 + "{% endif %}" * 3_000,
    "long": "a" * 70_000,
}
# What is large but sound: it must not be refused.
SOUND = {
    "all chains": "{{ 1"
    + "+1" * 200
    + " }}{{ "
    + "not " * 200
    + "1 }}{{ x"
    + "|list" * 100
    + " }}",
    "some elif": "{% if 0 %}" + "{% elif 0 %}" * 100 + "{% endif %}",
    "a long list": "{% set x = [] %}{% for i in range(500) %}{% set x = x + [i] %}{% endfor %}",
    "output": f"{{{{ {BIG} }}}}{{{{ {BIG} }}}}{{{{ {BIG}|trim }}}}",
}


def outcomes(sources: list[str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", RENDER],
        input="\x1e".join(sources).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode().splitlines()


@pytest.fixture(scope="module")
def outcome() -> dict[str, str]:
    """What became of each template; of one that took its process down, nothing.

    All go to one process, and where that one ends early, each to one of its own.
    """
    found = dict(zip(HOSTILE, outcomes(list(HOSTILE.values())), strict=False))
    if len(found) < len(HOSTILE):
        with ThreadPoolExecutor(2) as pool:
            each = pool.map(lambda source: outcomes([source]), HOSTILE.values())
            found = {name: lines[0] for name, lines in zip(HOSTILE, each, strict=True) if lines}
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused(name: str, outcome: dict[str, str]) -> None:
    assert outcome.get(name, "took its process down").startswith("refused")


def test_large_templates_that_are_sound_are_rendered() -> None:
    assert [line.split("\t")[0] for line in outcomes(list(SOUND.values()))] == ["rendered"] * 4
