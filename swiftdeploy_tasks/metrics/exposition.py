"""Parses an app's metrics page in the Prometheus or OpenMetrics text format.

The first of COUNTERS and of HISTOGRAMS on the page is read. Statuses come from STATUS_LABELS (an error is
5xx), which must agree, and paths from the first of PATH_LABELS. An incomplete page is an error. An app that
does not label paths has its health checks counted too.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from swiftdeploy_tasks.metrics.scrape import Scrape, UnreadableMetrics, is_count, is_figure

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
# The classes of HTTP status that a word may mean.
STATUS_WORDS = {
    "informational": "1",
    "ok": "123",
    "success": "123",
    "redirection": "3",
    "client_error": "4",
    "server_error": "5",
    "error": "45",
    "failed": "45",
    "failure": "45",
}
UPTIMES = ("app_uptime_seconds", "process_uptime_seconds")
STARTED = "process_start_time_seconds"
MODES = {0.0: "stable", 1.0: "canary"}
CHAOS = {0.0: "none", 1.0: "slow", 2.0: "error"}

# Bytes. The parser needs about 0.3 s for a million, and a watch reads a page each second; far longer for one
# line of that length.
MAX_PAGE = 2_000_000
MAX_LINE = 16_000
# A longer label value is not quoted: a secret that was cut short could not be masked.
LONGEST_QUOTE = 40

_CODE_OR_CLASS = re.compile(r"([1-5])(?:[0-9]{2}|xx)", re.IGNORECASE)

_KEPT = {*COUNTERS, *(f"{name}_bucket" for name in HISTOGRAMS), *UPTIMES, STARTED, "app_mode", "chaos_active"}


@dataclass(frozen=True)
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float

    def label(self, names: Sequence[str]) -> str | None:
        return next((self.labels[name] for name in names if name in self.labels), None)

    def count(self) -> int:
        if not is_count(self.value):
            raise UnreadableMetrics(f"the metrics give {self.name} as {self.value}, which is no count")
        return int(self.value)

    def gauge(self) -> float:
        if not is_figure(self.value):
            raise UnreadableMetrics(f"the metrics give {self.name} as {self.value}, which is no figure")
        return self.value


@dataclass(frozen=True)
class _Page:
    """The samples that are of use, by name, and the families, by name, that have a heading but no sample."""

    samples: Mapping[str, Sequence[_Sample]]
    empty: frozenset[str]

    def gauge(self, *names: str) -> float | None:
        return next((self.samples[name][0].gauge() for name in names if name in self.samples), None)


def parse(text: str, *, at: float, leave_out: Collection[str] = ()) -> Scrape:
    """Read a page in the Prometheus text format that was scraped at `at` (unix seconds).

    `leave_out` are the paths whose requests are not the users'. Raises UnreadableMetrics when the page is too
    large, cut short, not of that format, without a request counter, or contradicts itself.
    """
    _refuse_unfit(text)
    page = _read(text)
    ok, errors, left_out = _answers(page, leave_out)
    bounds, buckets = _durations(page, leave_out)
    if not buckets and ok + errors and not page.empty.isdisjoint(HISTOGRAMS):
        raise UnreadableMetrics(
            "the metrics are cut short: requests are counted, and their histogram is empty"
        )
    mode, chaos = page.gauge("app_mode"), page.gauge("chaos_active")
    return Scrape(
        time=at,
        ok=ok,
        errors=errors,
        left_out=left_out,
        bounds=bounds,
        buckets=buckets,
        uptime=page.gauge(*UPTIMES),
        started=page.gauge(STARTED),
        mode=None if mode is None else MODES.get(mode),
        chaos=None if chaos is None else CHAOS.get(chaos),
    )


@dataclass(frozen=True)
class Sources:
    """What of a page is read: the counter of requests, and the histogram of their times, "" for none."""

    counter: str
    histogram: str


def sources(text: str) -> Sources:
    """Return what of a page is read, also where it has counted nothing yet; raises UnreadableMetrics."""
    page = _read(text)
    told = _told(page)
    counters = told or [name for name in COUNTERS if name in page.samples or name in page.empty]
    by_heading = next((name for name in HISTOGRAMS if name in page.empty), "")
    histogram = next((name for name in HISTOGRAMS if f"{name}_bucket" in page.samples), by_heading)
    return Sources(counters[0] if counters else histogram, histogram)


def _told(page: _Page) -> list[str]:
    """The counters on the page that have the status of an answer."""
    present = (name for name in COUNTERS if name in page.samples)
    return [name for name in present if any(map(_statuses, page.samples[name]))]


def _refuse_unfit(text: str) -> None:
    if (size := len(text.encode("utf-8", "replace"))) > MAX_PAGE:
        raise UnreadableMetrics(f"the metrics have {size} bytes, at most {MAX_PAGE} are read")
    # OpenMetrics ends with this mark, and needs no line feed after it.
    if not text.endswith(("\n", "\n# EOF")):
        raise UnreadableMetrics("the metrics are cut short: the last line has no end")
    longest = max(map(len, text.split("\n")))
    if longest > MAX_LINE:
        raise UnreadableMetrics(
            f"a line of the metrics has {longest} characters, at most {MAX_LINE} are read"
        )


class _Lines(io.StringIO):
    """The lines of a text, and the number of the last one that was taken, from 1."""

    number = 0

    def __next__(self) -> str:  # type: ignore[override]
        line = super().__next__()
        self.number += 1
        return line


def _read(text: str) -> _Page:
    from prometheus_client.parser import text_fd_to_metric_families

    samples: dict[str, list[_Sample]] = {}
    empty: set[str] = set()
    lines = _Lines(text)
    try:
        for family in text_fd_to_metric_families(lines):
            if not family.samples:
                empty |= {family.name, f"{family.name}_total"}
            for sample in family.samples:
                if sample.name in _KEPT:
                    kept = _Sample(sample.name, sample.labels, sample.value)
                    samples.setdefault(sample.name, []).append(kept)
    except (ValueError, IndexError, KeyError):
        # The parser quotes what it met, and an app may print a secret anywhere.
        raise UnreadableMetrics(f"the metrics are not Prometheus text, at line {lines.number}") from None
    return _Page(samples, frozenset(empty))


def _answers(page: _Page, leave_out: Collection[str]) -> tuple[int, int, int]:
    """How many answers were fine, how many were errors, and how many are left out."""
    present = [name for name in COUNTERS if name in page.samples]
    if not present and page.empty.isdisjoint((*COUNTERS, *HISTOGRAMS)):
        raise UnreadableMetrics(f"the metrics have no request counter: {COUNTERS[0]}, or one of {HISTOGRAMS}")
    told = _told(page)
    if present and not told and any(sample.count() for sample in page.samples[present[0]]):
        raise UnreadableMetrics(f"{present[0]} has no status label: none of {', '.join(STATUS_LABELS)}")
    samples = page.samples[told[0]] if told else ()
    labels = _status_labels(samples)
    ok = errors = left_out = 0
    for sample in samples:
        count = sample.count()
        if sample.label(PATH_LABELS) in leave_out:
            left_out += count
        elif count and _is_error(sample, labels):
            errors += count
        else:
            ok += count
    return ok, errors, left_out


def _statuses(sample: _Sample) -> dict[str, str]:
    """The values of the labels that may hold the status; an empty label is none."""
    return {name: sample.labels[name] for name in STATUS_LABELS if sample.labels.get(name)}


def _status_labels(samples: Sequence[_Sample]) -> Collection[str]:
    """The labels that hold the status: those that do on some sample, else every one that may."""
    given = [item for sample in samples for item in _statuses(sample).items()]
    return {name for name, value in given if _classes(value)} or {name for name, _ in given}


def _classes(value: str) -> frozenset[str]:
    """The classes of status, as first digits, that a label's value may mean; none for no status."""
    found = _CODE_OR_CLASS.fullmatch(value)
    return frozenset(found[1] if found else STATUS_WORDS.get(value.lower(), ""))


def _is_error(sample: _Sample, labels: Collection[str]) -> bool:
    """Whether a sample counts errors; raises UnreadableMetrics where its labels disagree or are no status."""
    told = {name: value for name, value in _statuses(sample).items() if name in labels}
    if not told:
        raise UnreadableMetrics(f"{sample.name} has a status label on some of its samples only")
    for name, value in told.items():
        if not _classes(value):
            raise UnreadableMetrics(
                f"{sample.name} has {_quoted(name, value)}, which is no HTTP status: three digits from 100 "
                f"to 599, a class such as 5xx, or one of {', '.join(STATUS_WORDS)}"
            )
    agreed = frozenset.intersection(*map(_classes, told.values()))
    if not agreed:
        said = " and ".join(_quoted(name, value) for name, value in told.items())
        raise UnreadableMetrics(f"{sample.name} contradicts itself: a sample has {said}")
    return "5" in agreed


def _quoted(name: str, value: str) -> str:
    """A label and its value, printable; of a long value, its length."""
    shown = json.dumps(value) if len(value) <= LONGEST_QUOTE else f"a value of {len(value)} characters"
    return f"{name}={shown}"


def _durations(page: _Page, leave_out: Collection[str]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The finite bounds, and the counts per bucket over all series; both empty without a histogram."""
    name = next((name for name in HISTOGRAMS if f"{name}_bucket" in page.samples), None)
    if name is None:
        return (), ()
    series: dict[frozenset[tuple[str, str]], list[_Sample]] = {}
    for sample in page.samples[f"{name}_bucket"]:
        series.setdefault(_identity(sample), []).append(sample)
    totals = {_identity(sample): sample.count() for sample in page.samples.get(f"{name}_count", ())}
    if series.keys() != totals.keys():
        raise UnreadableMetrics(f"{name} is cut short: not every series has its buckets and its count")
    bounds: tuple[float, ...] | None = None
    sums: list[int] = []
    for identity, samples in series.items():
        cumulative = _cumulative(samples, totals[identity])
        if bounds not in (None, tuple(cumulative)):
            raise UnreadableMetrics(f"{name} has series with different buckets, which cannot be added up")
        bounds = tuple(cumulative)
        sums = sums or [0] * len(bounds)
        if samples[0].label(PATH_LABELS) not in leave_out:
            steps = pairwise((0, *cumulative.values()))
            sums = [total + upper - lower for total, (lower, upper) in zip(sums, steps, strict=True)]
    return (bounds or ())[:-1], tuple(sums)


def _identity(sample: _Sample) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in sample.labels.items() if item[0] != "le")


def _cumulative(samples: Sequence[_Sample], total: int) -> dict[float, int]:
    """The counts of one series by upper bound, rising; the last bound is infinite."""
    try:
        counts = {float(sample.labels["le"]): sample.count() for sample in samples}
    except (KeyError, ValueError):
        raise UnreadableMetrics(f"{samples[0].name} has a bucket without a bound") from None
    if len(counts) != len(samples) or any(map(math.isnan, counts)):
        raise UnreadableMetrics(f"{samples[0].name} has two buckets of one bound, or one of none")
    ordered = {bound: counts[bound] for bound in sorted(counts)}
    if ordered.get(math.inf) != total:
        raise UnreadableMetrics(f"{samples[0].name} is cut short: its count is not that of its +Inf bucket")
    if any(lower > upper for lower, upper in pairwise(ordered.values())):
        raise UnreadableMetrics(f"{samples[0].name} contradicts itself: a bucket has less than one below it")
    return ordered
