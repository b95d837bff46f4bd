"""The page's files: which there are, how they are sent, and that a browser keeps them in."""

from html.parser import HTMLParser

import pytest

from aboard.engine import Model
from aboard.serve import static
from aboard.serve.app import App
from aboard.serve.served import ServedModel, ServedModels
from serve.asgi import Answered, request

HOST = ("host", "localhost")
PATHS = [each.path for each in static.endpoints()]


@pytest.fixture(scope="module")
def app(model: Model) -> App:
    """A server that wants a key."""
    return App(ServedModels([ServedModel(model, "tiny")]), keys=["k" * 32])


class Links(HTMLParser):
    """What a page links to, and what of it a strict policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.links += [named[name] for name in ("href", "src") if name in named]
        self.inline += [name for name in named if name == "style" or name.startswith("on")]
        self._script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            self.inline.append(data)


def policy(answer: Answered) -> dict[str, list[str]]:
    parts = answer.headers["content-security-policy"].split("; ")
    return {part.split()[0]: part.split()[1:] for part in parts}


def test_the_page_is_open_and_the_api_is_not(app: App) -> None:
    assert request(app, "GET", "/", [HOST]).status == 200
    assert request(app, "GET", "/props", [HOST]).status == 401


def test_the_page_is_not_given_under_another_name_nor_to_other_sites(app: App) -> None:
    assert request(app, "GET", "/", [("host", "evil.example")]).status == 403
    assert request(app, "GET", "/", [HOST, ("origin", "https://evil.example")]).status == 403
    assert request(app, "GET", "/", [HOST, ("sec-fetch-site", "cross-site")]).status == 403


def test_the_page_links_to_every_file_and_holds_no_script_and_no_style(app: App) -> None:
    found = Links()

    found.feed(request(app, "GET", "/", [HOST]).body.decode())

    files = [each for each in found.links if not each.startswith("#")]
    assert sorted([*files, "/"]) == sorted(PATHS)
    assert found.inline == []


@pytest.mark.parametrize("path", PATHS)
def test_every_file_is_sent_under_a_policy_that_keeps_it_to_this_server(
    app: App, path: str
) -> None:
    answer = request(app, "GET", path, [HOST])

    assert answer.status == 200
    told = policy(answer)
    assert told["default-src"] == ["'none'"]
    for kind in ("script-src", "style-src", "connect-src", "img-src"):
        assert told[kind] == ["'self'"]
    for kind in ("base-uri", "form-action", "frame-ancestors"):
        assert told[kind] == ["'none'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert b"http://" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/layout.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_says_what_it_is(app: App, path: str, kind: str) -> None:
    assert request(app, "GET", path, [HOST]).headers["content-type"] == kind


@pytest.mark.parametrize("path", ["/", "/page/app.js"])
def test_a_file_that_the_browser_has_is_not_sent_again(app: App, path: str) -> None:
    first = request(app, "GET", path, [HOST])
    tag = first.headers["etag"]

    same = request(app, "GET", path, [HOST, ("if-none-match", f'"other", W/{tag}')])
    other = request(app, "GET", path, [HOST, ("if-none-match", '"other"')])

    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    assert (other.status, other.body) == (200, first.body)
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page",
        "/page/index.html",
        "/page/types.d.ts",
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/page/app.js/",
        "/page/APP.JS",
        "/index.html",
    ],
)
def test_there_is_a_path_for_each_file_and_no_other(app: App, path: str) -> None:
    answer = request(app, "GET", path, [HOST, ("authorization", f"Bearer {'k' * 32}")])

    assert (answer.status, answer.code) == (404, "not_found")


def test_a_head_has_no_body(app: App) -> None:
    assert request(app, "HEAD", "/", [HOST]).status == 200
