# SPDX-License-Identifier: Apache-2.0
"""Numbers of a server in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from finesight.conversation import Usage

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server.

    Args:
        gauges: name and description of numbers of the moment, with functions that give them.
    """

    def __init__(self, gauges: Mapping[tuple[str, str], Callable[[], int]]) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Requests by endpoint and status", "path", "status"
        )
        self._refused = self._counter(
            "refused", "Requests that were refused or failed, by reason", "reason"
        )
        self._tokens = self._counter(
            "tokens", "Tokens of answered requests by kind", "model", "kind"
        )
        self._first = self._histogram("time_to_first_token_seconds", "From request to first token")
        self._whole = self._histogram("answer_seconds", "From request to last token")
        self._speed = Histogram(
            "finesight_tokens_per_second",
            "Tokens per second of an answer after its first",
            ["model"],
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        for (name, text), number in gauges.items():
            Gauge(f"finesight_{name}", text, registry=self.registry).set_function(number)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"finesight_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"finesight_{name}", text, ["model"], buckets=_SECONDS, registry=self.registry
        )

    def request(self, path: str, status: int) -> None:
        """Count a request by the path of its endpoint."""
        self._requests.labels(path, str(status)).inc()

    def refused(self, reason: str) -> None:
        """Count a request that was refused, or whose answer failed."""
        self._refused.labels(reason).inc()

    def first_token(self, model: str, seconds: float) -> None:
        """Count the time to a first token."""
        self._first.labels(model).observe(seconds)

    def answer(self, model: str, usage: Usage, seconds: float, seconds_after_first: float) -> None:
        """Count a finished answer."""
        self._whole.labels(model).observe(seconds)
        if usage.completion_tokens > 1 and seconds_after_first > 0:
            self._speed.labels(model).observe((usage.completion_tokens - 1) / seconds_after_first)
        for kind, number in (
            ("prompt", usage.prompt_tokens),
            ("visual", usage.visual_tokens),
            ("cached", usage.cached_tokens),
            ("answer", usage.completion_tokens),
        ):
            self._tokens.labels(model, kind).inc(number)

    def text(self) -> bytes:
        """All numbers."""
        return generate_latest(self.registry)
