"""Markdown as the page draws it, against markdown-it's reading of the same texts."""

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import BrowserContext

from serve.browser.window import Window
from serve.running import Running

DRAW = """async (texts) => {
  const { Markdown } = await import("/page/markdown.js");
  const shown = new Markdown();
  for (const text of texts) shown.show(text);
  for (const head of shown.node.querySelectorAll(".code-head")) head.remove();
  return shown.node.innerHTML;
}"""
HEADINGS = {f"h{level}": f"h{min(6, level + 2)}" for level in range(1, 7)}
TEXTS = [
    "A paragraph.\n\nAnother one.",
    "# One\n\n## Two ##\n\n#### Four\n\n#no heading",
    "*a* **b** ***c*** _d_ __e__ snake_case_name 2 * 3 * 4 ~~f~~",
    "**bold with *emphasis* within** and *emphasis with **bold***",
    "`code` ``a ` b`` `unclosed and **bold**",
    "\\*no emphasis\\* and \\`no code\\`",
    "- one\n- two\n- three",
    "* one\n  - inner\n  - other\n* two",
    "1. one\n2. two\n\nafter",
    "3. three\n4. four",
    "- one\n\n  more of one\n\n- two",
    "1. code:\n\n   ```python\n   print(1)\n   ```\n\n2. more",
    "- config:\n  ```yaml\n  a:\n    b:\n      - 1\n  ```\n- more",
    "1. code:\n\n   ```python\n   def f():\n       if x:\n           return 1\n   ```\n",
    "10. code:\n\n    ```\n    a\n      b\n    c\n    ```\n11. more",
    "  ```\n  a\n    b\n c\n  ```\nafter",
    "- a\n    - b\n        - c\n            - d\n- e",
    "1. a\n   - b\n     - c\n\n       more of c\n2. d",
    "> quoted\n> twice\n\nafter",
    "> - a list\n> - within",
    "```python\ndef f():\n\n    return 1\n```\n\nafter",
    "~~~\n```\n~~~",
    "```\nunclosed",
    "before\n```\ncode\n```\nafter",
    "| a | b |\n|---|:-:|\n| 1 | **2** |\n| 3 |\n\nafter",
    "a | b\n--|--\n1 | 2",
    "before\n\n---\n\nafter\n\n***",
    "[a link](https://example.org/a_(b)?c=d&e) and [not one](javascript:alert)",
    "<b>no markup</b> & <script>",
    "* * *\n\n- - -\n\n-not a list",
    "text * with star\nand _ underline",
    "a paragraph\n- and a list\n- at once",
    "1) one\n2) two",
    "**Note:** text with `a*b*c` and *stars*",
    "5 < 6 && 7 > 2",
    "",
]


class Shape(HTMLParser):
    """Elements and texts, without what the two differ in by design.

    Headings stand two levels lower, paragraphs of list items are lines, and frames around code and
    tables count for nothing.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._path: list[str] = []
        self.feed(html)
        self.close()

    def _is_frame(self, tag: str) -> bool:
        return tag in ("div", "span") or (tag == "p" and self._path[-1:] == ["li"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if not self._is_frame(tag):
            told = "".join(f" {name}={named[name]}" for name in ("href", "start") if name in named)
            self.found.append(f"<{tag}{told}>")
        self._path.append(tag)
        if tag == "hr":
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._path.pop()
        if not self._is_frame(tag):
            self.found.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        text = data if "pre" in self._path else data.strip("\n")
        text = text.removesuffix("\n")
        if text:
            self.found.append(text)


def expected(text: str) -> list[str]:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    shape = Shape(parser.render(text).replace("<s>", "<del>").replace("</s>", "</del>")).found
    return [
        each[0] + HEADINGS[each[1:-1]] + ">"
        if each[1:-1] in HEADINGS
        else "</" + HEADINGS[each[2:-1]] + ">"
        if each[2:-1] in HEADINGS
        else each
        for each in shape
    ]


@pytest.fixture(scope="module")
def drawing(context: BrowserContext, server: Running) -> Iterator[Window]:
    window = Window(context, server)
    yield window
    window.close()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_markdown_it_reads_it(drawing: Window, text: str) -> None:
    assert Shape(drawing.page.evaluate(DRAW, [text])).found == expected(text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_grows_is_drawn_as_if_it_came_at_once(drawing: Window, text: str) -> None:
    beginnings = [text[:end] for end in range(len(text) + 1)]

    assert drawing.page.evaluate(DRAW, beginnings) == drawing.page.evaluate(DRAW, [text])


@pytest.mark.parametrize("signs", ["[é", "*é ", "`é", "|é", "_é", "é](", "~~é", "> é\n\n", "- é\n"])
def test_no_letter_of_a_text_of_signs_is_lost(drawing: Window, signs: str) -> None:
    drawn = drawing.page.evaluate(DRAW, [signs * 10_000])

    assert drawn.count("é") == 10_000


@pytest.mark.parametrize("sign", ["> ", "- ", "1. ", "  - "])
def test_what_is_nested_too_deep_is_text(drawing: Window, sign: str) -> None:
    assert "the deepest" in drawing.page.evaluate(DRAW, [sign * 2_000 + "the deepest"])
