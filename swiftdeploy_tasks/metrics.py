"""What happened in one slot between two scrapes of its metrics?

Stands apart as plain arithmetic on values, so that every odd page and every odd clock can be tried without an
app. It refuses to guess: a page that is cut short or contradicts itself is no scrape, counters since the
start are called that, and a figure that cannot be known is absent, never zero.

Read are the first of COUNTERS and of HISTOGRAMS that the page has. Answers are told apart by the first of
STATUS_LABELS, paths by the first of PATH_LABELS; an app that labels no path counts its health checks too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from swiftdeploy_tasks.errors import SwiftDeployError

HISTOGRAMS = (
    "http_request_duration_seconds",
    "http_server_request_duration_seconds",
    "http_server_requests_seconds",
    "flask_http_request_duration_seconds",
    "starlette_request_duration_seconds",
)
COUNTERS = ("http_requests_total", *(f"{name}_count" for name in HISTOGRAMS))
STATUS_LABELS = ("status_code", "status", "code", "http_response_status_code", "http_status_code")
PATH_LABELS = ("path", "handler", "route", "endpoint", "uri", "http_route")
UPTIMES = ("app_uptime_seconds", "process_uptime_seconds")
STARTED = "process_start_time_seconds"
MODES = {0: "stable", 1: "canary"}
CHAOS = {0: "none", 1: "slow", 2: "error"}

# The parser needs about 0.3 s for a million characters, and far longer for a line of that length.
MAX_TEXT = 2_000_000
MAX_LINE = 16_000
# Beyond this JSON readers no longer tell neighbours apart.
MAX_COUNT = 2**53
# Some clients compute the time of their start anew at each scrape, to the second.
START_SLACK = 2.0
# How far from the length asked for a window may be, as a part of it.
SHORTEST, LONGEST = 0.8, 1.5

_KEPT = {
    *COUNTERS,
    *(f"{name}_bucket" for name in HISTOGRAMS),
    *UPTIMES,
    STARTED,
    "app_mode",
    "chaos_active",
}
_Samples = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]


class UnreadableMetrics(SwiftDeployError):
    """The metrics of a slot are declared and cannot be read, so nothing can be judged by them."""

    exit_code = 3

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason, "correct the app's metrics, or set `services.metrics: null` in manifest.yaml"
        )


@dataclass(frozen=True)
class Scrape:
    """What a slot had counted by `time` (unix seconds), the paths that were to be left out counted apart.

    `uptime` is seconds by the app's own clock, `started` unix seconds, None where not told. `bounds` are the
    histogram's finite upper bounds in seconds, rising; `buckets` counts answers in each and, last, beyond
    them (not cumulative); both are empty without a histogram. `mode` and `chaos` are the shipped app's.
    """

    time: float
    ok: int = 0
    errors: int = 0
    left_out: int = 0
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    uptime: float | None = None
    started: float | None = None
    mode: str | None = None
    chaos: str | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the app started, above zero; None where it does not tell."""
        age = self.uptime
        if age is None and self.started is not None:
            age = self.time - self.started
        return age if age is not None and age > 0 else None

    def document(self) -> dict[str, Any]:
        """JSON values from which `from_document` makes the same scrape."""
        return asdict(self) | {"bounds": list(self.bounds), "buckets": list(self.buckets)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Scrape:
        """Return the scrape that was recorded; raises UnreadableMetrics when the document is not one."""
        try:
            known = {name: document[name] for name in cls.__dataclass_fields__}
            scrape = cls(**known | {name: tuple(known[name]) for name in ("bounds", "buckets")})
            figures = (scrape.time, *scrape.bounds, scrape.uptime or 0, scrape.started or 0)
            _ = [_whole(count, "a count") for count in (*_counts(scrape), *scrape.buckets)]
            sound = all(math.isfinite(figure) for figure in figures) and _is_rising(scrape.bounds)
        except (KeyError, TypeError) as error:
            raise UnreadableMetrics(f"a recorded scrape is damaged: {error!r:.100}") from None
        if not sound or len(scrape.buckets) != (len(scrape.bounds) + 1 if scrape.buckets else 0):
            raise UnreadableMetrics("a recorded scrape is damaged: its figures do not fit together")
        return scrape


@dataclass(frozen=True)
class Window:
    """What happened in `seconds` (above zero): rates a second and as a part of 1, percentiles in ms.

    Without requests the rest is None. A percentile beyond the histogram's largest finite bound is not known
    and None too; `beyond_ms` is that bound then. Without a histogram all percentiles are None.
    """

    seconds: float
    requests: int
    rate: float | None = None
    error_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    beyond_ms: float | None = field(default=None)

    def document(self) -> dict[str, Any]:
        """CONTRACTS' window; `beyond_ms` is in it only where a percentile is beyond it."""
        values = asdict(self)
        return values if self.beyond_ms is not None else {k: v for k, v in values.items() if k != "beyond_ms"}


def parse(text: str, *, at: float, leave_out: Collection[str] = ()) -> Scrape:
    """Read a page in the Prometheus text format, scraped at `at` (unix seconds).

    `leave_out` are paths whose requests are not the users'. Raises UnreadableMetrics when the page is too
    large, cut short, not of that format, without a request counter, or contradicts itself.
    """
    _refuse_cut(text)
    samples, declared = _read(text)
    ok, errors, left_out = _answers(samples, declared, leave_out)
    bounds, buckets = _durations(samples, leave_out)
    return Scrape(
        time=at,
        ok=ok,
        errors=errors,
        left_out=left_out,
        bounds=bounds,
        buckets=buckets,
        uptime=next((gauge for name in UPTIMES if (gauge := _gauge(samples, name)) is not None), None),
        started=_gauge(samples, STARTED),
        mode=MODES.get(_gauge(samples, "app_mode") or 0) if "app_mode" in samples else None,
        chaos=CHAOS.get(_gauge(samples, "chaos_active") or 0) if "chaos_active" in samples else None,
    )


def window(before: Scrape | None, after: Scrape) -> Window:
    """Return what happened between two scrapes of one slot, or with None since the app's start.

    After a restart in between it is what happened since that. Raises UnreadableMetrics where the length
    cannot be known: no time passed by any clock, or the start is asked for and the app tells no age.
    """
    start = _start(before, after)
    seconds = _seconds(start, after)
    if seconds <= 0:
        raise UnreadableMetrics(f"the length of the window is not known: the clock went {seconds:.3f} s")
    rounded = max(round(seconds, 3), 0.001)
    errors = after.errors - start.errors
    requests = after.ok - start.ok + errors
    if not requests:
        return Window(rounded, 0)
    buckets = _moved(start, after)
    quantiles = [_quantile(percent, after.bounds, buckets) for percent in (50, 95, 99)]
    p50, p95, p99 = (
        round(value * 1000, 3) if value is not None and value < math.inf else None for value in quantiles
    )
    beyond = round(after.bounds[-1] * 1000, 3) if math.inf in quantiles and after.bounds else None
    return Window(rounded, requests, round(requests / seconds, 3), errors / requests, p50, p95, p99, beyond)


def choose(recorded: Iterable[Scrape], now: Scrape, *, seconds: float) -> Scrape | None:
    """Return the scrape that makes a true window of about `seconds` up to `now`; None: wait for one.

    `recorded` are scrapes of the same slot and release. In order: one of about that age, the start of a
    younger app, and an older one since which nothing was counted.
    """
    start = at_start(now)
    candidates = [*recorded, *([start] if start else [])]
    lengths = [(_seconds(_start(one, now), now), one) for one in candidates]
    fitting = [pair for pair in lengths if SHORTEST * seconds <= pair[0] <= LONGEST * seconds]
    if fitting:
        return min(fitting, key=lambda pair: abs(pair[0] - seconds))[1]
    if start and _seconds(start, now) < seconds:
        return start
    idle = [pair for pair in lengths if pair[0] > seconds and is_unmoved(pair[1], now)]
    return min(idle, key=lambda pair: pair[0])[1] if idle else None


def is_unmoved(before: Scrape, after: Scrape) -> bool:
    """Return whether nothing was counted between the scrapes, left-out paths apart, and nothing restarted."""
    if _restarted(before, after) or any(_moved(before, after)):
        return False
    return (before.ok, before.errors) == (after.ok, after.errors)


def at_start(scrape: Scrape) -> Scrape | None:
    """Return the empty scrape of the moment when this app started; None where it tells no age."""
    if scrape.age is None:
        return None
    uptime = None if scrape.uptime is None else 0.0
    return Scrape(time=scrape.time - scrape.age, uptime=uptime, started=scrape.started)


def _start(before: Scrape | None, after: Scrape) -> Scrape:
    """The scrape to count from."""
    if before is not None and not _restarted(before, after):
        return before
    start = at_start(after)
    if start is None and before is None:
        raise UnreadableMetrics(
            "the app does not tell its age, so nothing is known about the time since its start"
        )
    return start or Scrape(time=before.time if before else after.time)


def _seconds(start: Scrape, after: Scrape) -> float:
    """By the app's own clock where both scrapes have it: that of the host may be set back in between."""
    if start.uptime is not None and after.uptime is not None and after.uptime > start.uptime:
        return after.uptime - start.uptime
    return after.time - start.time


def _restarted(before: Scrape, after: Scrape) -> bool:
    if before.uptime is not None and after.uptime is not None:
        # Younger than before; or older by now, and yet started only after that scrape.
        if after.uptime < before.uptime or after.time - after.uptime > before.time:
            return True
    elif before.started is not None and after.started is not None:
        if after.started > before.started + START_SLACK:
            return True
    if before.bounds and before.bounds != after.bounds:
        return True
    return any(now < then for then, now in zip(_counts(before), _counts(after), strict=True)) or any(
        now < then for then, now in zip(before.buckets, after.buckets, strict=False)
    )


def _counts(scrape: Scrape) -> tuple[int, int, int]:
    return scrape.ok, scrape.errors, scrape.left_out


def _moved(before: Scrape, after: Scrape) -> tuple[int, ...]:
    then = before.buckets or (0,) * len(after.buckets)
    return tuple(now - old for old, now in zip(then, after.buckets, strict=True))


def _quantile(percent: int, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """Seconds, linear within the bucket; infinite beyond the last bound, None when nothing was measured."""
    if not any(counts):
        return None
    rank = percent * sum(counts) / 100
    reached = 0
    for index, bound in enumerate(bounds):
        if reached + counts[index] >= rank:
            lower = bounds[index - 1] if index else min(0.0, bound)
            return lower + (bound - lower) * (rank - reached) / counts[index]
        reached += counts[index]
    return math.inf


def _refuse_cut(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise UnreadableMetrics(f"the metrics have {len(text)} characters, at most {MAX_TEXT} are read")
    if not text.endswith("\n"):
        raise UnreadableMetrics("the metrics are cut short: the last line has no end")
    if max(map(len, text.split("\n"))) > MAX_LINE:
        raise UnreadableMetrics(f"the metrics have a line of more than {MAX_LINE} characters")


def _read(text: str) -> tuple[_Samples, set[str]]:
    """The samples that are of use, by name, and the names of all families, those without samples too."""
    from prometheus_client.parser import text_string_to_metric_families

    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    declared: set[str] = set()
    try:
        for family in text_string_to_metric_families(text):
            declared |= {family.name, f"{family.name}_total", f"{family.name}_count"}
            for sample in family.samples:
                if sample.name in _KEPT:
                    samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    except (ValueError, IndexError, KeyError) as error:
        raise UnreadableMetrics(
            f"the metrics are not in the Prometheus text format: {error!s:.100}"
        ) from None
    return samples, declared


def _answers(samples: _Samples, declared: set[str], leave_out: Collection[str]) -> tuple[int, int, int]:
    """How many answers were fine, how many were errors (5xx), how many were left out."""
    labelled = [n for n in COUNTERS if n in samples and _label(samples[n][0][0], STATUS_LABELS) is not None]
    if not labelled and any(name in samples for name in COUNTERS):
        raise UnreadableMetrics(f"the request counter has no status label ({', '.join(STATUS_LABELS)})")
    if not labelled and declared.isdisjoint(COUNTERS):
        raise UnreadableMetrics(f"the metrics have no request counter ({', '.join(COUNTERS)})")
    ok = errors = left_out = 0
    for labels, value in samples[labelled[0]] if labelled else ():
        status, count = _label(labels, STATUS_LABELS), _whole(value, labelled[0])
        if status is None:
            raise UnreadableMetrics(f"{labelled[0]} has samples without a status label")
        if _label(labels, PATH_LABELS) in leave_out:
            left_out += count
        elif status.startswith("5"):
            errors += count
        else:
            ok += count
    return ok, errors, left_out


def _durations(samples: _Samples, leave_out: Collection[str]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The finite bounds and the counts per bucket over all series."""
    name = next((name for name in HISTOGRAMS if f"{name}_bucket" in samples), None)
    if name is None:
        return (), ()
    series: dict[frozenset[tuple[str, str]], dict[float, int]] = {}
    for labels, value in samples[f"{name}_bucket"]:
        rest = frozenset(item for item in labels.items() if item[0] != "le")
        series.setdefault(rest, {})[_bound(labels, name)] = _whole(value, name)
    totals = {frozenset(labels.items()): value for labels, value in samples.get(f"{name}_count", ())}
    if {rest: buckets.get(math.inf) for rest, buckets in series.items()} != totals:
        raise UnreadableMetrics(f"{name} is cut short: its counts are not those of its +Inf buckets")
    bounds = tuple(sorted(next(iter(series.values()))))
    counts = [0] * len(bounds)
    for rest, buckets in series.items():
        if tuple(sorted(buckets)) != bounds:
            raise UnreadableMetrics(f"{name} has series with different buckets")
        cumulative = [0, *(buckets[bound] for bound in bounds)]
        if any(upper < lower for lower, upper in pairwise(cumulative)):
            raise UnreadableMetrics(f"{name} contradicts itself: a bucket holds less than the one below it")
        if _label(dict(rest), PATH_LABELS) not in leave_out:
            counts = [
                sum(pair) for pair in zip(counts, (b - a for a, b in pairwise(cumulative)), strict=True)
            ]
    return bounds[:-1], tuple(counts)
