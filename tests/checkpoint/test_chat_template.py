"""Chat templates render as Jinja2 renders them, or are refused; the templates here are ours."""

from typing import Any

import pytest
from jinja2 import TemplateError as JinjaError

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.errors import TemplateError, UsageError
from checkpoint import jinja_oracle as oracle

CHATML = """
{%- if messages[0].role != 'system' -%}
<|im_start|>system
You are helpful.<|im_end|>
{% endif %}
{% for message in messages %}
    {# one turn #}
<|im_start|>{{ message['role'] }}
{{ message.content | default('', true) if message.content is string else 'parts' }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
"""
TURNS = """{{ bos_token }}{% for m in messages if m.role != 'system' %}
{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) and not m.tool_calls and m.role != 'tool' %}
{{- raise_exception('Roles must take turns: ' ~ loop.index) }}
{%- endif %}
{%- if m.role == 'user' %}{{ '[INST] ' + (m.content if m.content is string else '?')|trim
 + ' [/INST]' }}{% elif m.content %}{{ ' ' ~ m.content ~ eos_token }}{% endif %}
{%- endfor %}"""
THOUGHTS = """
{%- set ns = namespace(last=messages|length - 1, seen=[], open=true) %}
{%- for m in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and m.role == 'user' and m.content is string
           and not (m.content.startswith('<tool>') and m.content.endswith('</tool>')) %}
        {%- set ns.open = false %}{%- set ns.last = index %}{%- set ns.seen = ns.seen + [index] %}
    {%- endif %}
{%- endfor %}
{{- ns.seen }}{{ ns.last }}
{%- for m in messages %}
    {%- if m.role == 'assistant' and m.content is string %}
        {%- set content, reason = m.content, '' %}
        {%- if m.reasoning_content is defined and m.reasoning_content is not none %}
            {%- set reason = m.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reason = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<' ~ reason.strip() ~ '|' ~ content ~ '>' }}
    {%- endif %}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think></think>' }}{% endif %}
"""
TOOLS = """
{%- macro kind(spec, depth=1) -%}
    {%- if spec.type is string %}{{ spec.type }}{% elif spec.type is iterable %}
        {{- spec.type | join(' | ') }}{% else %}any{% endif %}
    {%- for key, value in (spec.properties or {}).items() %}
{{ '  ' * depth }}{{ key }}: {{ kind(value, depth + 1) }}{% if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro -%}
{%- if tools is iterable and tools | length > 0 %}
{{- tools | tojson }}
{%- for tool in tools %}{% set f = tool.function %}
{{ loop.index }}. {{ f.name | upper }}({{ kind(f.parameters) }}) {{ f | tojson(indent=4) }}
{%- for key in f.parameters.required or [] %} needs {{ key }}{% endfor %}
{%- endfor %}
{%- endif %}
{%- for m in messages %}
{%- if m.tool_calls is defined %}
    {%- for call in m.tool_calls %}
        {%- if call.function is defined %}{% set call = call.function %}{% endif %}
        {%- if call.arguments is string %}{{ call.arguments }}{% else %}
            {%- for name, value in call.arguments | items %}
<{{ name }}>{{ value if value is string else value | tojson }}</{{ name }}>
            {%- endfor %}{{ call.arguments | tojson(separators=(',', ':'), sort_keys=true) }}
        {%- endif %}
    {%- endfor %}
{%- elif m.role == 'tool' %}{% if loop.first or messages[loop.index0 - 1].role != 'tool' %}
[{% endif %}{{ m.content }}{% if loop.last or loop.nextitem.role != 'tool' %}]{% endif %}
{%- elif m.content is not string and m.content is iterable %}
    {%- for part in m.content | selectattr('type', 'equalto', 'text') %}
        {{- part['text'] }}{% endfor %}
{%- endif %}
{%- endfor %}"""
DATES = """
{%- if date_string is not defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now('%d %b %Y|%-d %B %y %H:%M:%S %A %a')
            + strftime_now('%j %I %p %m %F %T%%') %}
    {%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}
{%- endif %}Today: {{ date_string }}"""
SPACES = """
  {% if true %}
 a {%- if true %}  b  {%- endif +%}
   {#- gone -#}
   c
	{%+ if true %} d {% endif -%}

 e {{- ' f ' -}} g
{% raw_less is defined %}
""".replace("{% raw_less is defined %}", "{% endif %}")
BLOCKS = """{% set both %}{% filter upper %}x{{ messages|length }}{% endfilter %}{% endset %}
{%- macro wrap(tag) %}<{{ tag }}>{{ caller(tag ~ '!') }}</{{ tag }}>{% endmacro %}
{%- call(name) wrap('b') %}{{ name }}{{ both }}{% endcall %}
{%- with a=1, b='z' %}{{ a }}{{ b }}{% endwith %}
{%- for k, v in {'a': 1, 'b': 2}.items() if v > 1 %}{{ k }}{{ v }}{% endfor %}
{%- for x in ([1] if messages else []) if x %}{{ x }}{% endfor %}
{%- for m in messages %}{% if loop.index > 3 %}{% break %}{% endif %}
{%- if m.role == 'tool' %}{% continue %}{% endif %}{{ loop.first }}{{ loop.last }}
{%- generation %}{% set hidden = 1 %}{{ m.role }}{% endgeneration %}{{ hidden is defined }}
{%- else %}none{% endfor %}
{{- '{}-{n}-{}'.format('a', 2, n='b') }}{{ 'x{0}{1}{0}'.format(1, true) }}"""
VALUES = """{{ [1, 'a', none, true, 2.5, {'k': 'v'}] }}{{ {'b': 1, 'a': [none]} | tojson }}
{{ 7 // 2 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 3 * 2 }} {{ 2 * 3 * 'ab' }} {{ 3 * -2 }}
{{ 'abc'[1:] }}{{ 'abc'[::-1] }}{{ [1, 2, 3][-1] }}{{ 'a-b-c'.split('-', 1) }}{{ 'x' in 'axb' }}
{{ (1, 2) }}{{ 'a' if false }}{{ missing }}{{ missing is defined }}{{ none }}{{ 'é'|length }}
{{ [3, 1, 2]|sort }}{{ [1, 1, 2]|unique|list }}{{ [[1, 'a']]|map('first')|list }}{{ 'a b'|title }}
{{ ['a', 'b']|join('+') }}{{ 'a'|replace('a', 'b') }}{{ '  x '|trim }}{{ 'A'.lower() }}{{ '5'|int }}
{{ 'tool' == "tool" and not false or true }}{{ 1 < 2 }}{{ 'a' ~ 1 ~ none }}{{ 'a\\n\\'b' }}
{%- for x in [none, 1, 'a', [], {}, (1,), true, range(2), missing] %}
    {{- x is iterable }}{{ x is not iterable }}{{ x is sequence }}{{ x is not sequence }}
    {{- not x is iterable }}{{ [x][0] is iterable }}{{ (x) is sequence and [x]|first is string }}
    {{- 'y' if x is iterable and x is not string else 'n' }}{{ x is mapping }}{{ x is none }}
{%- endfor %}{{ missing is iterable }}{{ missing is sequence }}{{ missing is not iterable }}
{{ {'a': 1}.get('b', 'no') }}{{ 'abc'.find('c') }}{{ 'a,b'.replace(',', ';') }}{{ [0]|first }}"""
TEMPLATES = {
    "chatml": CHATML,
    "turns": TURNS,
    "thoughts": THOUGHTS,
    "tools": TOOLS,
    "dates": DATES,
    "spaces": SPACES,
    "blocks": BLOCKS,
    "values": VALUES,
}
CASES = list(oracle.cases())


def rendered(source: str, **given: Any) -> str | None:
    try:
        return ChatTemplate({"default": source}, oracle.SPECIAL).render(**given)
    except TemplateError:
        return None


def expected(source: str, **given: Any) -> str | None:
    try:
        return oracle.render(source, **given)
    except (JinjaError, TypeError):
        return None


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_renders_as_jinja2_does(name: str) -> None:
    source = TEMPLATES[name]

    ours = [(case, rendered(source, **given)) for case, given in CASES]

    theirs = [(case, expected(source, **given)) for case, given in CASES]
    assert ours == theirs
    assert sum(text is not None for _, text in theirs) > len(CASES) // 3


def test_a_refusal_of_the_template_is_told_in_its_words() -> None:
    template = ChatTemplate({"default": TURNS}, oracle.SPECIAL)

    with pytest.raises(TemplateError, match="refuses the conversation: Roles must take turns: 1"):
        template.render(oracle.CONVERSATIONS["out of order"])


def test_a_template_that_needs_a_date_asks_for_one() -> None:
    template = ChatTemplate({"default": "\n{{ strftime_now('%Y') }}"})

    with pytest.raises(TemplateError, match="strftime_now is unknown, line 2") as caught:
        template.render([])

    assert "`now`" in str(caught.value.hint)
    assert template.render([], now=oracle.NOW) == "\n2025"


def test_a_date_without_a_time_is_midnight() -> None:
    template = ChatTemplate({"default": "{{ strftime_now('%e %I %p %H') }}"})

    assert template.render([], now=oracle.NOW.date()) == " 7 12 AM 00"


@pytest.mark.parametrize("directive", ["%Q", "%1000000000d", "%", "%-", "%é"])
def test_a_directive_that_no_template_uses_is_refused(directive: str) -> None:
    template = ChatTemplate({"default": "{{ strftime_now('" + directive + "') }}"})

    with pytest.raises(TemplateError, match="strftime_now: directive"):
        template.render([], now=oracle.NOW)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% include 'x' %}", "line 1: statement 'include' is unknown to chat templates"),
        ("\n\n{% if %}", "line 3"),
        ("{{ 1", "line 1: found 'the end of the template' within a tag"),
        ("{# never ends", "a comment has no end"),
        ("{{ }}", "a tag is empty"),
        ("{{ a) }}", r"'\)' closes nothing"),
        ("{{ aboard_check() }}", "the name 'aboard_check' is reserved"),
        ("{{ nothing() }}", "unknown function: nothing"),
        ("{{ a.b }}", "undefined value"),
        ("{% for a in tools %}{% endfor %}", "loops over none"),
        ("{% for a %}{% endfor %}", "'for' has nothing to loop over"),
        ("{{ 'a'|safe + 'b' }}", r"'safe' next to '\+' is not supported"),
        ("{% for a in [] recursive %}{% endfor %}", "recursive loops are not supported"),
        ("{{ '{:9}'.format(1) }}", "more than a number or a name"),
        ("{{ '{}'.format() }}", "format: "),
        ("{{ '{'.format() }}", "format: "),
        ("{{ tools|tojson(indent=99) }}", "tojson: indent is 99, expected 0 to 16"),
        ("{{ tools|tojson(separators=(1, 2)) }}", "tojson: separators"),
        ("{{ messages.append(1) }}", "tries to change the conversation"),
        ("{{ messages[0].update({}) }}", "tries to change the conversation"),
        ("{{ messages * 2 }}", "multiplies a FrozenList"),
        ("{{ debug() }}", "unknown function: debug"),
    ],
)
def test_what_is_not_understood_is_refused(source: str, message: str) -> None:
    template = ChatTemplate({"default": source})

    with pytest.raises(TemplateError, match=message):
        template.render([{"role": "user", "content": "Hi"}])


def test_a_conversation_is_not_changed_by_rendering() -> None:
    messages = [{"role": "user", "content": ["Hi"]}]

    ChatTemplate({"default": "{% set messages = [] %}{{ messages }}"}).render(messages)

    assert messages == [{"role": "user", "content": ["Hi"]}]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "user", "content": "\ud800"}, r"messages\[0\]\['content'\] holds half a surr"),
        ({"role": "user", "content": b"a"}, r"messages\[0\]\['content'\] is bytes"),
        ({1: "user"}, r"messages\[0\] has a key of type int"),
        ("text", None),
    ],
)
def test_a_message_without_a_form_in_json_is_refused(message: Any, error: str | None) -> None:
    template = ChatTemplate({"default": "{{ messages[0] }}"})

    if error is None:
        assert template.render([message]) == message
        return
    with pytest.raises(UsageError, match=error):
        template.render([message])


def test_messages_nested_without_end_are_refused() -> None:
    message: dict[str, object] = {}
    message["content"] = message

    with pytest.raises(UsageError, match="nested deeper than 64 levels"):
        ChatTemplate({"default": ""}).render([message])


def test_tools_choose_the_template_made_for_them() -> None:
    found = {"tokenizer.chat_template": "plain", "tokenizer.chat_template.tool_use": "tools"}

    template = ChatTemplate.from_gguf(found)

    assert template is not None
    assert template.names == ("default", "tool_use")
    assert [template.render([]), template.render([], tools=[])] == ["plain", "tools"]


def test_a_file_without_a_template_has_none_and_one_of_a_wrong_type_is_refused() -> None:
    assert ChatTemplate.from_gguf({"tokenizer.ggml.model": "gpt2"}) is None
    with pytest.raises(TemplateError, match=r"tokenizer\.chat_template is int, expected a string"):
        ChatTemplate.from_gguf({"tokenizer.chat_template": 7})


def test_a_file_with_named_templates_only_says_which() -> None:
    template = ChatTemplate.from_gguf({"tokenizer.chat_template.rag": "x"})

    assert template is not None
    with pytest.raises(TemplateError, match="no default chat template, only rag"):
        template.render([])


def test_special_tokens_come_from_the_metadata() -> None:
    found = {
        "tokenizer.chat_template": "{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}",
        "tokenizer.ggml.tokens": ["a", "<s>", "</s>"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 99,
    }

    template = ChatTemplate.from_gguf(found)

    assert template is not None
    assert template.render([]) == "<s></s>False"


def test_the_hash_of_one_template_is_that_of_its_text() -> None:
    one = ChatTemplate({"default": "é"})
    two = ChatTemplate({"default": "é", "tool_use": ""})

    # printf é | sha256sum
    assert one.sha256 == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert two.sha256 not in (one.sha256, ChatTemplate({"tool_use": "", "x": "é"}).sha256)
