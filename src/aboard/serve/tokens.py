"""`/tokenize` and `/detokenize`: texts and token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from starlette.responses import Response

from aboard.serve.body import WHOLE, Body
from aboard.serve.endpoint import Call, Endpoint, json_response, json_text_response
from aboard.serve.given import Given

if TYPE_CHECKING:
    from aboard.serve.served import Served


_PART = 1 << 14  # tokens that are written at a time


class _OfModel(Body):
    model: str | None = Field(default=None, description="By default the first of `/v1/models`.")


class TokenizeRequest(_OfModel):
    """A text."""

    content: str
    add_special: bool = Field(default=False, description="Put BOS and EOS around it.")
    parse_special: bool = Field(default=True, description="Read the text of a control token as it.")
    with_pieces: bool = Field(default=False, description="Tell each token's text, too.")


class TokenPiece(Given):
    """A token; `piece` are its bytes where they are no whole characters."""

    id: int
    piece: str | list[int]


class Tokens(Given):
    """The text's tokens."""

    tokens: list[int] | list[TokenPiece]


class DetokenizeRequest(_OfModel):
    """Token ids."""

    tokens: list[Annotated[int, Field(ge=0), WHOLE]]


class Text(Given):
    """Their text."""

    content: str


async def tokenize(call: Call[TokenizeRequest]) -> Response:
    """The token ids of a text."""
    body = call.body
    tokenizer = _served(call).model.tokenizer
    ids = await call.service.aside(
        tokenizer.encode,
        body.content,
        add_special=body.add_special,
        parse_special=body.parse_special,
    )
    piece = tokenizer.piece if body.with_pieces else None
    return json_text_response(await call.service.aside(_written, ids, piece))


async def detokenize(call: Call[DetokenizeRequest]) -> Response:
    """The text of token ids."""
    tokenizer = _served(call).model.tokenizer
    text = await call.service.aside(tokenizer.decode, call.body.tokens, skip_special=False)
    return json_response(Text(content=text))


def _served(call: Call[TokenizeRequest] | Call[DetokenizeRequest]) -> Served:
    models, name = call.service.models, call.body.model
    served = models.first if name is None else models.of_any_kind(name)
    call.noted.model = served.name
    return served


def _written(ids: Sequence[int], piece: Callable[[int], bytes] | None) -> str:
    """The answer's JSON, some tokens at a time, so that other threads may go on between them.

    An object for each token of a large text would take a hundred times the text's size.
    """
    one = {
        each: str(each) if piece is None else _piece(each, piece(each)).model_dump_json()
        for each in set(ids)
    }
    parts = [
        ",".join(map(one.__getitem__, ids[at : at + _PART])) for at in range(0, len(ids), _PART)
    ]
    return f'{{"tokens":[{",".join(parts)}]}}'


def _piece(token: int, data: bytes) -> TokenPiece:
    try:
        return TokenPiece(id=token, piece=data.decode())
    except UnicodeDecodeError:
        return TokenPiece(id=token, piece=list(data))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/tokenize",
        handle=tokenize,
        summary="The token ids of a text.",
        takes=TokenizeRequest,
        gives=Tokens,
        statuses=(404,),
    ),
    Endpoint(
        method="POST",
        path="/detokenize",
        handle=detokenize,
        summary="The text of token ids.",
        takes=DetokenizeRequest,
        gives=Text,
        statuses=(404,),
    ),
)
