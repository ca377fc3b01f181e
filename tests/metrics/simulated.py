"""An app whose true traffic is known, exposed by a real Prometheus client under names of one's choice."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LEFT_OUT = frozenset({"/healthz", "/metrics", "/chaos"})


@dataclass(frozen=True)
class Names:
    """How an app names its metrics; `counter` None: it has only the histogram, which then has the status."""

    counter: str | None = "http_requests_total"
    histogram: str = "http_request_duration_seconds"
    path: str = "path"
    status: str = "status_code"
    uptime: str | None = "app_uptime_seconds"


@dataclass
class App:
    """Serves by the monotonic clock `now`, which starts at zero and never goes back."""

    names: Names = field(default_factory=Names)
    now: float = 0.0
    born: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        names = self.names
        self.born = self.now
        self.registry = CollectorRegistry()
        labels = ("method", names.path)
        self.counter = (
            Counter(names.counter, "answers", (*labels, names.status), registry=self.registry)
            if names.counter
            else None
        )
        histogram_labels = labels if names.counter else (*labels, names.status)
        self.histogram = Histogram(
            names.histogram, "seconds", histogram_labels, buckets=BOUNDS, registry=self.registry
        )
        self.uptime = Gauge(names.uptime, "age", registry=self.registry) if names.uptime else None

    def answer(self, status: int | str = 200, seconds: float = 0.002, path: str = "/") -> None:
        labels = {"method": "GET", self.names.path: path}
        with_status = labels | {self.names.status: str(status)}
        if self.counter:
            self.counter.labels(**with_status).inc()
        self.histogram.labels(**(labels if self.counter else with_status)).observe(seconds)

    def page(self) -> str:
        if self.uptime:
            self.uptime.set(self.now - self.born)
        text: str = generate_latest(self.registry).decode()
        return text
