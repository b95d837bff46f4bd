"""`/v1/models` in pages, as Anthropic's package asks for them."""

from collections.abc import Iterator

import pytest

from aboard.engine import Model
from serve.running import Running, running

NAMES = ["tiny", "a", "b", "c", "d"]


@pytest.fixture(scope="module")
def server(model: Model) -> Iterator[Running]:
    with running(model, aliases=tuple(NAMES[1:])) as server:
        yield server


def test_the_anthropic_package_walks_over_all_pages(server: Running) -> None:
    with server.anthropic() as client:
        forwards = [each.id for each in client.models.list(limit=2)]
        page = client.models.list(limit=2, before_id="d")

    assert forwards == NAMES
    assert [each.id for each in page.data] == ["b", "c"]
    assert (page.has_more, page.first_id, page.last_id) == (True, "b", "c")


def test_without_a_question_all_are_listed(server: Running) -> None:
    with server.openai() as client:
        assert [each.id for each in client.models.list()] == NAMES


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "after_id=none", "after_id=a&before_id=b", "page=2"],
)
def test_a_question_that_is_none_is_refused(server: Running, query: str) -> None:
    with server.http() as http:
        answer = http.get(f"/v1/models?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_behind_the_last_there_is_nothing(server: Running) -> None:
    with server.http() as http:
        told = http.get("/v1/models?after_id=d").json()

    assert (told["data"], told["has_more"], told["last_id"]) == ([], False, None)
