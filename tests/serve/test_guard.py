"""Who may ask: every kind of Host, page and key, each with what it gets."""

import hmac
import re

import pytest

from aboard.engine import Model
from aboard.errors import UsageError
from aboard.serve.app import App
from aboard.serve.served import ServedModel, ServedModels
from serve.asgi import request

# What is answered without a key: the page, which asks for one, and whether the server is well.
OPEN = {"/", "/health", "/v1/health"}

KEY, OTHER_KEY = "k" * 32, "another-key-of-length"
INTRANET, PUBLIC = "https://intranet.example", "https://model.example"
HOST = ("host", "localhost:8080")


@pytest.fixture(scope="module")
def models(model: Model) -> ServedModels:
    return ServedModels([ServedModel(model, "tiny")])


@pytest.fixture(scope="module")
def app(models: ServedModels) -> App:
    return App(models)


@pytest.fixture(scope="module")
def named(models: ServedModels) -> App:
    return App(models, hosts=["model.example", "[fd00::1]"], origins=[INTRANET])


@pytest.fixture(scope="module")
def proxied(models: ServedModels) -> App:
    return App(models, public_origins=[PUBLIC], origins=[INTRANET])


@pytest.fixture(scope="module")
def locked(models: ServedModels) -> App:
    return App(models, keys=[KEY, OTHER_KEY], origins=[INTRANET])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("evil.localhost", 403),
        ("localhost.", 403),
        ("127.0.0.1.nip.example", 403),
        ("127.0.0.2", 403),
        ("0.0.0.0", 403),
        ("192.168.1.7", 403),
        ("printer.local", 403),
        ("service.internal", 403),
        ("::1", 403),
        ("[::]", 403),
        ("localhost:80:80", 403),
        ("localhost:port", 403),
        ("localhost:", 403),
        ("localhost, evil.example", 403),
        ("user@localhost", 403),
        ("*", 403),
        ("", 403),
        (" ", 403),
    ],
)
def test_a_host_by_another_name_is_refused(app: App, host: str, status: int) -> None:
    answer = request(app, "GET", "/health", [("host", host)])

    assert (answer.status, answer.code) == (status, None if status == 200 else "host_not_allowed")


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_no_host_and_several_hosts_are_refused(app: App, hosts: list[str]) -> None:
    answer = request(app, "GET", "/health", [("host", each) for each in hosts])

    assert (answer.status, answer.code) == (403, "host_not_allowed")


def test_a_body_whose_length_is_told_in_two_ways_ends_the_connection(app: App) -> None:
    lengths = [("content-length", "2"), ("transfer-encoding", "chunked")]

    both = request(app, "POST", "/tokenize", [HOST, *lengths])
    each = [request(app, "GET", "/health", [HOST, one]).status for one in lengths]

    assert (both.status, both.code) == (400, "invalid_length")
    assert both.headers["connection"] == "close"
    assert each == [200, 200]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("model.example", 200),
        ("model.example:443", 200),
        ("[fd00::1]:8080", 200),
        ("localhost", 200),
        ("sub.model.example", 403),
        ("model.example.evil.example", 403),
    ],
)
def test_names_that_were_given_are_hosts_exactly(named: App, host: str, status: int) -> None:
    assert request(named, "GET", "/health", [("host", host)]).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("origin", "http://localhost:8080")], 200),
        ([("sec-fetch-site", "none")], 200),
        ([("sec-fetch-site", "same-origin")], 200),
        ([("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")], 200),
        ([("origin", "http://localhost")], 403),
        ([("origin", "http://localhost:3000")], 403),
        ([("origin", "https://localhost:8080")], 403),
        ([("origin", "http://127.0.0.1:8080")], 403),
        ([("origin", "http://evil.example")], 403),
        ([("origin", "null")], 403),
        ([("origin", "")], 403),
        ([("origin", "file://")], 403),
        ([("origin", "http://localhost:8080.evil.example")], 403),
        ([("origin", INTRANET)], 403),
        ([("sec-fetch-site", "cross-site")], 403),
        ([("sec-fetch-site", "same-site")], 403),
        ([("sec-fetch-site", "Cross-Site")], 403),
        ([("origin", "http://localhost:8080"), ("origin", "http://evil.example")], 403),
    ],
)
def test_pages_of_other_origins_are_refused(app: App, headers: list, status: int) -> None:
    answer = request(app, "GET", "/health", [HOST, *headers])

    assert (answer.status, answer.code) == (status, None if status == 200 else "origin_not_allowed")
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("host", ["model.example", "localhost:8080", "127.0.0.1"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (PUBLIC, 200),
        (INTRANET, 200),
        (f"{PUBLIC}:444", 403),
        (f"{PUBLIC}.evil.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_the_page_behind_a_proxy_may_ask_its_server(
    proxied: App, host: str, origin: str, status: int
) -> None:
    answer = request(proxied, "GET", "/health", [("host", host), ("origin", origin)])

    assert answer.status == status
    shared = answer.headers.get("access-control-allow-origin")
    assert shared == (INTRANET if origin == INTRANET else None)


def test_the_name_of_a_public_origin_is_a_host_and_no_other(proxied: App, app: App) -> None:
    hosts = ["model.example", "model.example:443", "www.model.example"]

    answers = [request(proxied, "GET", "/health", [("host", host)]).status for host in hosts]

    assert answers == [200, 200, 403]
    assert request(app, "GET", "/health", [("host", hosts[0])]).status == 403


VISIT = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("method", "path", "changed", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"sec-fetch-site": "same-site"}, 200),
        ("GET", "/", {"sec-fetch-dest": "iframe"}, 403),
        ("GET", "/", {"sec-fetch-dest": "script", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", "/", {"origin": "https://evil.example"}, 403),
        ("GET", "/", {"host": "evil.example"}, 403),
        ("POST", "/", {}, 403),
        ("GET", "/props", {}, 403),
        ("GET", "/page/app.js", {}, 403),
    ],
)
def test_a_link_of_another_site_leads_to_the_page_alone(
    app: App, method: str, path: str, changed: dict[str, str], status: int
) -> None:
    headers = dict([HOST]) | VISIT | changed

    assert request(app, method, path, headers.items()).status == status


def _reached(app: App) -> list[tuple[str, str]]:
    """The methods and paths of all routes, with something in each place of a name."""
    return [
        (method, re.sub(r"\{\w+(:\w+)?\}", "x", each.path))
        for each in app.routes
        for method in sorted(each.methods)
    ]


def test_all_routes_are_walked_over(locked: App) -> None:
    paths = {path for _, path in _reached(locked)}

    described = {path for each in locked.endpoints for path in (each.path, *each.also)}
    assert len(paths - {path for path in paths if path.startswith("/page/")}) == len(described) + 1
    assert {"/", "/page/app.js", "/v1/chat/completions", "/v1/files/x/content"} <= paths


def test_no_route_is_there_for_other_hosts_other_pages_or_without_a_key(locked: App) -> None:
    mine = ("authorization", f"Bearer {KEY}")
    refused = [
        ([("host", "evil.example"), mine], b"isn't called evil.example"),
        ([HOST, ("origin", "https://evil.example"), mine], b"https://evil.example may not ask"),
        ([HOST, ("sec-fetch-site", "cross-site"), mine], b"other sites may not ask"),
    ]
    for method, path in _reached(locked):
        for headers, words in refused:
            answer = request(locked, method, path, headers)
            assert answer.status == 403, path
            assert words in answer.body, path
        told = request(locked, method, path, [HOST])
        is_open = path in OPEN or path.startswith("/page/")
        assert (told.status == 401) is not is_open, path


@pytest.mark.parametrize(
    ("origin", "status"),
    [(INTRANET, 200), (f"{INTRANET}:444", 403), ("http://intranet.example", 403), ("null", 403)],
)
def test_an_origin_that_was_named_may_ask_and_no_other(
    named: App, origin: str, status: int
) -> None:
    headers = [HOST, ("origin", origin), ("sec-fetch-site", "cross-site")]

    answer = request(named, "GET", "/health", headers)

    assert answer.status == status
    assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)
    assert "access-control-allow-credentials" not in answer.headers


def test_a_named_origin_may_ask_beforehand_without_a_key(locked: App) -> None:
    wanted = [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
    ]
    answers = [
        request(locked, "OPTIONS", "/v1/completions", [HOST, ("origin", origin), *wanted])
        for origin in (INTRANET, "https://evil.example")
    ]

    assert [each.status for each in answers] == [200, 403]
    assert answers[0].headers["access-control-allow-origin"] == INTRANET
    allowed = answers[0].headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-api-key"} <= set(allowed)
    assert [each for each in allowed if not each.replace("-", "").isalpha()] == []


def test_a_named_origin_on_the_internet_may_reach_a_server_of_the_loopback(locked: App) -> None:
    wanted = [
        ("access-control-request-method", "POST"),
        ("access-control-request-private-network", "true"),
    ]

    answer = request(locked, "OPTIONS", "/v1/completions", [HOST, ("origin", INTRANET), *wanted])

    assert answer.status == 200
    assert answer.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize(
    ("header", "status"),
    [("authorization", 200), ("X-Stainless-Retry-Count", 200), ("x-other", 400), ("*", 400)],
)
def test_a_named_origin_may_send_named_headers_alone(locked: App, header: str, status: int) -> None:
    wanted = [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", header),
    ]

    answer = request(locked, "OPTIONS", "/v1/completions", [HOST, ("origin", INTRANET), *wanted])

    assert answer.status == status
    assert "*" not in answer.headers["access-control-allow-headers"]


def test_an_options_request_opens_nothing_where_no_origin_is_named(app: App) -> None:
    wanted = ("access-control-request-method", "POST")

    answer = request(app, "OPTIONS", "/v1/completions", [HOST, wanted])

    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("authorization", f"Bearer {KEY}")], 200),
        ([("authorization", f"bearer {KEY}")], 200),
        ([("authorization", f"Bearer {OTHER_KEY}")], 200),
        ([("x-api-key", KEY)], 200),
        ([], 401),
        ([("authorization", "")], 401),
        ([("authorization", "Bearer")], 401),
        ([("authorization", "Bearer ")], 401),
        ([("authorization", KEY)], 401),
        ([("authorization", f"Basic {KEY}")], 401),
        ([("authorization", f"Bearer {KEY}x")], 401),
        ([("authorization", f"Bearer {KEY[:-1]}")], 401),
        ([("authorization", f"Bearer {KEY.upper()}")], 401),
        ([("authorization", f"Bearer {KEY},{OTHER_KEY}")], 401),
        ([("authorization", "Bearer \u00e9" + KEY)], 401),
        ([("x-api-key", "")], 401),
        ([("cookie", f"key={KEY}")], 401),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/props", "/metrics", "/nothing"])
def test_nothing_is_told_without_a_key(
    locked: App, models: ServedModels, headers: list, status: int, path: str
) -> None:
    models.start(locked.service.limits)

    answer = request(locked, "GET", path, [HOST, *headers])

    models.close()
    allowed = 404 if path == "/nothing" else 200
    assert answer.status == (allowed if status == 200 else status)
    if status == 401:
        assert answer.code == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_health_is_told_without_a_key_but_not_to_other_hosts(locked: App) -> None:
    assert request(locked, "GET", "/health", [HOST]).status == 200
    assert request(locked, "GET", "/health", [("host", "evil.example")]).status == 403


def test_every_key_is_compared_in_constant_time(
    locked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for key in (KEY, OTHER_KEY, "wrong"):
        request(locked, "GET", "/v1/models", [HOST, ("authorization", f"Bearer {key}")])

    assert len(compared) == 6
    assert {len(each) for pair in compared for each in pair} == {32}


@pytest.mark.parametrize(
    "host", ["", "http://a.example", "a.example:80", "*.example", "a b", "a/b", "u@a"]
)
def test_what_is_no_name_of_a_host_is_refused(models: ServedModels, host: str) -> None:
    with pytest.raises(UsageError, match="no name of a host"):
        App(models, hosts=[host])


@pytest.mark.parametrize(
    "origin", ["", "*", "null", "a.example", "https://", "https://a.example/", "ftp://a.example"]
)
def test_what_is_no_origin_is_refused(models: ServedModels, origin: str) -> None:
    with pytest.raises(UsageError, match="no origin"):
        App(models, origins=[origin])
    with pytest.raises(UsageError, match="no origin"):
        App(models, public_origins=[origin])


@pytest.mark.parametrize(
    "origin", ["https://A.example", "https://a.example:443", "http://a.example:80"]
)
def test_an_origin_that_no_browser_writes_is_refused(models: ServedModels, origin: str) -> None:
    with pytest.raises(UsageError, match="not as browsers write it"):
        App(models, origins=[origin])
