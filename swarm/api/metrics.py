"""What is counted of the API, in the text form of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from flowir.records import dataclass

__all__ = ("MEDIA", "Metrics", "Told")

MEDIA: Final = CONTENT_TYPE_PLAIN_1_0_0
_HEALTHS: Final = ("ok", "degraded", "failed")


@dataclass(slots=True)
class Told:
    """How a request was answered; 0: not yet."""

    status: int = 0


class Metrics:
    """Counters of one application. Labels are of closed sets: no id, no address, no name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "swarm_http_requests_total",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "swarm_http_request_seconds",
            "Seconds until an answer was complete.",
            ("route",),
            registry=self.registry,
        )
        self.refused = self._counter("swarm_http_refused_total", "Tokens that did not hold.")
        self.throttled = self._counter("swarm_http_throttled_total", "Requests not judged.")
        self.streams = self._gauge("swarm_http_streams", "Streams of events that are open.")
        self._runs = self._gauge("swarm_runs_live", "Runs that this host carries on.")
        self._journal = Gauge(
            "swarm_journal_health",
            "1 for how the journal is.",
            ("health",),
            registry=self.registry,
        )

    def _counter(self, name: str, help: str) -> Counter:
        return Counter(name, help, registry=self.registry)

    def _gauge(self, name: str, help: str) -> Gauge:
        return Gauge(name, help, registry=self.registry)

    @contextmanager
    def request(self, scope: MutableMapping[str, Any]) -> Generator[Told]:
        """Count a request, once it has been answered."""
        told, began = Told(), time.perf_counter()
        try:
            yield told
        finally:
            # The route's pattern, which the router has left in the scope; never the address.
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._requests.labels(method, route, str(told.status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - began)

    def text(self, live_runs: int, health: str) -> bytes:
        """Return all of it, with how the host is now."""
        self._runs.set(live_runs)
        for one in _HEALTHS:
            self._journal.labels(one).set(one == health)
        return generate_latest(self.registry)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
