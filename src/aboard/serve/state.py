"""`/health`, `/props` and `/metrics`: how the server is, and what it serves."""

from __future__ import annotations

from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from aboard import __version__
from aboard.serve.endpoint import Call, Endpoint, json_response
from aboard.serve.given import Given
from aboard.serve.native_bodies import Drawn, drawn_by_default
from aboard.serve.refusals import ending
from aboard.serve.served import Served, ServedEncoder, ServedModel

PROMETHEUS = CONTENT_TYPE_LATEST


class Health(Given):
    """It takes on requests."""

    status: Literal["ok"]


class CacheProps(Given):
    """A beginning of prompts that is kept: how many tokens of it are not computed again."""

    name: str
    tokens: int
    size_bytes: int


class ModelProps(Given):
    """A model, and all that decides its answers.

    `system_fingerprint` is `fp_` and the first 32 digits of the SHA-256 of `identity`, as JSON with
    sorted keys and no white space.
    """

    id: str
    kind: Literal["text", "embeddings"]
    aliases: list[str]
    file: str
    architecture: str
    context_length: int
    n_vocabulary: int
    bos_token: str | None
    eos_token: str | None
    chat_template: str | None
    system_fingerprint: str
    identity: dict[str, Any]
    caches: list[CacheProps]


class LimitProps(Given):
    """What may be asked for."""

    max_sequences: int
    max_waiting: int
    max_body_bytes: int
    answer_timeout_s: float


class DefaultSettings(Given):
    """Of the first model; `params` are what `/completion` says where a request doesn't."""

    n_ctx: int
    params: Drawn


class Props(Given):
    """The server.

    `model_path` (the file's name), `chat_template`, `total_slots` and `default_generation_settings`
    tell of the first model and the limits what llama.cpp's server tells under these names.
    """

    version: str
    models: list[ModelProps]
    model_path: str
    chat_template: str | None
    total_slots: int
    default_generation_settings: DefaultSettings
    limits: LimitProps
    date: str


async def health(call: Call[None]) -> Response:
    """Whether it takes on requests."""
    if call.service.ending:
        raise ending()
    return json_response(Health(status="ok"))


async def props(call: Call[None]) -> Response:
    """What is served, by what, within which limits."""
    service = call.service
    limits = service.limits
    models = [_model(served) for served in service.models.all]
    return json_response(
        Props(
            version=__version__,
            models=models,
            model_path=models[0].file,
            chat_template=models[0].chat_template,
            total_slots=limits.max_sequences,
            default_generation_settings=DefaultSettings(
                n_ctx=models[0].context_length,
                params=drawn_by_default(service.models.first.defaults),
            ),
            limits=LimitProps(
                max_sequences=limits.max_sequences,
                max_waiting=limits.max_waiting,
                max_body_bytes=limits.max_body_bytes,
                answer_timeout_s=limits.answer_timeout_s,
            ),
            date=service.day.isoformat(),
        )
    )


async def metrics(call: Call[None]) -> Response:
    """Measurements, as Prometheus reads them."""
    return Response(call.service.metrics.text(), headers={"content-type": PROMETHEUS})


def _model(served: Served) -> ModelProps:
    model = served.model
    tokenizer, template = model.tokenizer, model.chat_template
    bos, eos = (
        None if token is None else tokenizer.decode([token], skip_special=False)
        for token in (tokenizer.bos_id, tokenizer.eos_id)
    )
    kept = served.caches if isinstance(served, ServedModel) else {}
    return ModelProps(
        id=served.name,
        kind="embeddings" if isinstance(served, ServedEncoder) else "text",
        aliases=list(served.aliases),
        file=model.path.name,
        architecture=model.config.architecture,
        context_length=model.context_length,
        n_vocabulary=tokenizer.n_vocabulary,
        bos_token=bos,
        eos_token=eos,
        chat_template=None if template is None else template.source,
        system_fingerprint=served.fingerprint,
        identity=served.identity,
        caches=[
            CacheProps(name=name, tokens=each.n_tokens, size_bytes=each.size_bytes)
            for name, each in kept.items()
        ],
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/health",
        also=("/v1/health",),
        handle=health,
        summary="Whether the server takes on requests.",
        gives=Health,
        statuses=(503,),
        open=True,
    ),
    Endpoint(
        method="GET",
        path="/props",
        handle=props,
        summary="What is served, by what, within which limits.",
        gives=Props,
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        handle=metrics,
        summary="Measurements, as Prometheus reads them.",
        gives=PROMETHEUS,
    ),
)
