"""`/tokenize` and `/detokenize`: texts and token ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from starlette.responses import Response

from aboard.serve.body import WHOLE, Body
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given

if TYPE_CHECKING:
    from aboard.serve.served import Served


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
    if not body.with_pieces:
        return json_response(Tokens(tokens=ids))
    return json_response(Tokens(tokens=[_piece(each, tokenizer.piece(each)) for each in ids]))


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
