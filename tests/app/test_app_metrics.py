"""What the app says about itself, read by the parser that scrapers use."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from .conftest import App, running, until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf")]


def scrape(app: App) -> Samples:
    families = text_string_to_metric_families(app.get("/metrics").text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


def total(samples: Samples, method: str, path: str, status: int) -> float:
    return value(samples, "http_requests_total", method=method, path=path, status_code=str(status))


def test_the_families_have_the_types_and_the_content_type_of_0_0_4(stable: App) -> None:
    stable.get("/")
    answer = stable.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    types = {family.name: family.type for family in text_string_to_metric_families(answer.text)}
    assert types == {
        "http_requests": "counter",
        "http_request_duration_seconds": "histogram",
        "http_requests_in_progress": "gauge",
        "app_uptime_seconds": "gauge",
        "app_mode": "gauge",
        "chaos_active": "gauge",
    }


@pytest.mark.parametrize(
    ("method", "path", "label", "status"),
    [
        ("GET", "/", "/", 200),
        ("HEAD", "/", "/", 200),
        ("GET", "/healthz", "/healthz", 200),
        ("GET", "/metrics", "/metrics", 200),
        ("POST", "/chaos", "/chaos", 403),
        ("GET", "/chaos", "/chaos", 405),
        ("GET", "/no/such", "other", 404),
        ("DELETE", "/", "/", 405),
    ],
)
def test_every_request_is_counted_under_its_labels(
    stable: App, method: str, path: str, label: str, status: int
) -> None:
    before = scrape(stable)
    assert requests.request(method, stable.url + path, timeout=5).status_code == status
    # The former scrape counts from the moment that it was answered.
    own = int((method, path) == ("GET", "/metrics"))
    after = scrape(stable)
    assert total(after, method, label, status) - total(before, method, label, status) == 1 + own
    name = "http_request_duration_seconds_count"
    counted = value(after, name, method=method, path=label) - value(before, name, method=method, path=label)
    assert counted == 1 + own


def test_unknown_paths_and_methods_share_one_label() -> None:
    with running() as app:
        for number in range(20):
            requests.request(f"VERB{number}", f"{app.url}/path/{number}", timeout=5)
        samples = scrape(app)
    assert total(samples, "other", "other", 404) == 20
    assert sum(name == "http_requests_total" for name, _ in samples) == 1


def test_no_value_of_a_request_gets_into_the_text(stable: App) -> None:
    with stable.wire() as wire:
        wire.send('GE"T /"}\\ HTTP/1.1', "Host: a")
        assert wire.reply().status == 404
    assert scrape(stable)
    assert "GE" + '"' not in stable.get("/metrics").text


def test_the_histogram_is_cumulative_over_the_standard_buckets(canary: App) -> None:
    canary.chaos({"mode": "slow", "duration": 0.06})
    before = scrape(canary)
    started = time.monotonic()
    canary.get("/")
    waited = time.monotonic() - started
    after = scrape(canary)
    name = "http_request_duration_seconds"

    def grown(suffix: str, **labels: str) -> float:
        own = {"method": "GET", "path": "/", **labels}
        return value(after, name + suffix, **own) - value(before, name + suffix, **own)

    bounds = {dict(labels)["le"] for sample, labels in after if sample == f"{name}_bucket"}
    assert sorted(map(float, bounds)) == BOUNDS
    steps = [grown("_bucket", le=str(bound) if bound < 11 else "+Inf") for bound in BOUNDS]
    assert steps == sorted(steps)
    assert steps[:4] == [0] * 4
    assert steps[-1] == grown("_count") == 1
    assert 0.06 <= grown("_sum") <= waited


def test_requests_in_progress_are_those_being_answered_now(canary: App) -> None:
    assert value(scrape(canary), "http_requests_in_progress") == 1
    canary.chaos({"mode": "slow", "duration": 300})
    with ThreadPoolExecutor() as pool:
        for _ in range(3):
            pool.submit(canary.get, "/")
        until(lambda: value(scrape(canary), "http_requests_in_progress") == 4)
        canary.chaos({"mode": "recover"})
    assert value(scrape(canary), "http_requests_in_progress") == 1


def test_gauges_tell_mode_chaos_and_uptime(stable: App, canary: App) -> None:
    assert value(scrape(stable), "app_mode") == 0
    assert value(scrape(canary), "app_mode") == 1
    assert value(scrape(canary), "chaos_active") == 0
    canary.chaos({"mode": "slow", "duration": 0.01})
    assert value(scrape(canary), "chaos_active") == 1
    canary.chaos({"mode": "error", "rate": 0})
    assert value(scrape(canary), "chaos_active") == 2
    first = value(scrape(canary), "app_uptime_seconds")
    second = value(scrape(canary), "app_uptime_seconds")
    assert 0 < first <= second < 300


def test_no_request_is_lost_from_the_counts_under_load(canary: App) -> None:
    before = total(scrape(canary), "GET", "/", 200)
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: canary.get("/").status_code, range(400)))
    assert statuses == [200] * 400
    assert total(scrape(canary), "GET", "/", 200) - before == 400
