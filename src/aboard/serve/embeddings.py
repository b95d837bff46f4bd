"""`/v1/embeddings`: texts become vectors."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from starlette.responses import Response

from aboard.engine.arguments import require_room
from aboard.errors import AboardError, ContextOverflow
from aboard.serve.embedding_bodies import (
    Embedding,
    EmbeddingRequest,
    Embeddings,
    EmbeddingUsage,
)
from aboard.serve.endpoint import Call, Endpoint, json_text_response
from aboard.serve.given import PromptDetails, Usage
from aboard.serve.refusals import Refusal, ending, refusal_of, too_late

if TYPE_CHECKING:
    from aboard.serve.served import ServedEncoder


_CHARS_PER_TOKEN = 128  # at most; of English it is 4 or 5


async def embeddings(call: Call[EmbeddingRequest]) -> Response:
    """The vectors of texts."""
    body, service = call.body, call.service
    served = service.models.encoder(body.model)
    call.noted.model = served.name
    _require_dimensions(served, body.dimensions)
    texts = await service.aside(_tokens, served, body.inputs)
    if service.ending:
        raise ending()
    background = call.noted.background
    limit_s = service.limits.answer_timeout_s
    try:
        async with asyncio.timeout(None if background else limit_s):
            vectors = await served.encoding.vectors(texts, background=background)
    except TimeoutError:
        raise too_late(limit_s) from None
    n_tokens = sum(text.size for text in texts)
    call.noted.usage = Usage(
        prompt_tokens=n_tokens,
        completion_tokens=0,
        total_tokens=n_tokens,
        prompt_tokens_details=PromptDetails(cached_tokens=0),
    )
    written = await service.aside(_written, served.name, vectors, n_tokens, body.encoding_format)
    return json_text_response(written)


def _require_dimensions(served: ServedEncoder, wanted: int | None) -> None:
    width = served.model.config.width
    if wanted in (None, width):
        return
    raise Refusal(
        400,
        f"dimensions is {wanted}, expected {width}: nothing in the model's file says that a part "
        "of its vectors would do",
        code="invalid_value",
        param="dimensions",
    )


def _tokens(
    served: ServedEncoder, inputs: Sequence[str | list[int]]
) -> list[npt.NDArray[np.int32]]:
    """The token ids of each input, checked."""
    model = served.model
    checked = []
    for number, given in enumerate(inputs):
        try:
            if isinstance(given, str):
                _require_short(given, model.context_length)
            ids = model.tokenizer.encode(given) if isinstance(given, str) else given
            tokens = model.checked_tokens(ids)
            require_room(tokens.size, model.context_length)
        except AboardError as error:
            refusal = refusal_of(error)
            param = f"input[{number}]"
            raise Refusal(400, f"{param}: {refusal}", code=refusal.code, param=param) from None
        checked.append(tokens)
    return checked


def _require_short(text: str, context_length: int) -> None:
    """Refuse what only blanks, or words that no vocabulary has, could make fit: cutting it takes
    seconds, and other threads wait meanwhile.
    """
    most = _CHARS_PER_TOKEN * context_length
    if len(text) > most:
        raise ContextOverflow(
            f"{len(text):,} characters, expected at most {most:,}: the context holds "
            f"{context_length} tokens",
            hint="Shorten the text.",
        )


def _written(name: str, vectors: npt.NDArray[np.float32], n_tokens: int, encoding: str) -> str:
    """The answer's JSON; each vector on its own, so that other threads may go on between them."""
    rows = []
    for index, vector in enumerate(vectors):
        value: Any = vector.tolist()
        if encoding == "base64":
            value = base64.b64encode(vector.astype("<f4").tobytes()).decode()
        row = Embedding(object="embedding", index=index, embedding=value)
        rows.append(row.model_dump_json())
    usage = EmbeddingUsage(prompt_tokens=n_tokens, total_tokens=n_tokens)
    whole = Embeddings(object="list", data=[], model=name, usage=usage).model_dump_json()
    return whole.replace('"data":[]', f'"data":[{",".join(rows)}]', 1)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/embeddings",
        also=("/embeddings",),
        handle=embeddings,
        summary="Turn texts into vectors.",
        takes=EmbeddingRequest,
        gives=Embeddings,
        statuses=(404, 429, 503, 504),
    ),
)
