"""Measurements for Prometheus, under the names that OpenTelemetry gives to generative AI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aboard.serve.served import ServedModel

if TYPE_CHECKING:
    from aboard.serve.noted import Noted
    from aboard.serve.served import Served, ServedModels

# Bounds as OpenTelemetry's conventions for generative AI advise.
_SECONDS = tuple(0.01 * 2**i for i in range(14))
_FIRST_TOKEN = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)
_NEXT_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = tuple(float(4**i) for i in range(14))
_EMBEDDINGS = "embeddings"
_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": _EMBEDDINGS,
}
_LABELS = ("gen_ai_operation_name", "gen_ai_request_model")


class Metrics:
    """What is counted and timed; for one event loop."""

    def __init__(self, models: ServedModels) -> None:
        registry = self._registry = CollectorRegistry()
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "From a request to its last byte.",
            (*_LABELS, "error_type"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._first = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From a request to its first token.",
            _LABELS,
            buckets=_FIRST_TOKEN,
            registry=registry,
        )
        self._next = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Between two tokens of an answer, on average.",
            _LABELS,
            buckets=_NEXT_TOKEN,
            registry=registry,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage_tokens",
            "Tokens of a request.",
            (*_LABELS, "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=registry,
        )
        self._cached = Counter(
            "aboard_prompt_tokens_cached",
            "Tokens of prompts that were not computed again.",
            ("gen_ai_request_model",),
            registry=registry,
        )
        self._responses = Counter(
            "aboard_http_responses",
            "Responses by route, status and error code.",
            ("http_route", "http_response_status_code", "error_code"),
            registry=registry,
        )
        self._lines = Counter(
            "aboard_batch_lines",
            "Lines of batches that were answered.",
            ("http_route", "http_response_status_code", "error_code"),
            registry=registry,
        )
        registry.register(_Now(models))

    def count(self, noted: Noted) -> None:
        """Take in a request that is over."""
        self._responses.labels(noted.route, str(noted.status), noted.code).inc()
        self._count_answer(noted)

    def count_line(self, noted: Noted) -> None:
        """Take in a line of a batch that was answered."""
        self._lines.labels(noted.route, str(noted.status), noted.code).inc()
        self._count_answer(noted)

    def _count_answer(self, noted: Noted) -> None:
        operation = _OPERATIONS.get(noted.route)
        if operation is None or not noted.model:
            return
        labels = (operation, noted.model)
        self._duration.labels(*labels, noted.code).observe(noted.elapsed_s)
        if noted.first_token_s is not None:
            self._first.labels(*labels).observe(noted.first_token_s)
        usage = noted.usage
        if usage is None:
            return
        self._tokens.labels(*labels, "input").observe(usage.prompt_tokens)
        if operation == _EMBEDDINGS:
            return
        self._tokens.labels(*labels, "output").observe(usage.completion_tokens)
        self._cached.labels(noted.model).inc(usage.prompt_tokens_details.cached_tokens)
        n_more = usage.completion_tokens / max(len(noted.finish_reasons), 1) - 1
        if n_more > 0 and noted.first_token_s is not None and noted.last_token_s is not None:
            between = (noted.last_token_s - noted.first_token_s) / n_more
            self._next.labels(*labels).observe(between)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What is under way at the moment that is asked for."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        gauges = {
            "aboard_requests_running": "Answers that are being computed.",
            "aboard_requests_waiting": "Answers that wait for their turn.",
            "aboard_kv_used_bytes": "Keys and values that are held.",
            "aboard_prefix_cache_bytes": "Those of them that are kept for prompts to come.",
        }
        families = {
            name: GaugeMetricFamily(name, text, labels=["gen_ai_request_model"])
            for name, text in gauges.items()
        }
        for served in self._models.all:
            for family, value in zip(families.values(), _values(served), strict=False):
                family.add_metric([served.name], value)
        yield from families.values()


def _values(served: Served) -> list[int]:
    """The gauges of a model; an encoder keeps no keys and values."""
    load, model = served.load, served.model
    values = [load.n_running, load.n_waiting]
    if isinstance(served, ServedModel):
        values.append(model.decoder.kv_memory()["used_bytes"])
        values.append(model.prefix_cache.stats.size_bytes)
    return values
