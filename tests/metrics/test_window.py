"""Windows between scrapes: restarts, clocks, buckets, and which scrape a window may start from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swiftdeploy_tasks.metrics import (
    Scrape,
    UnreadableMetrics,
    Window,
    at_start,
    choose,
    is_unmoved,
    went_back,
    window,
)

BOUNDS = (0.1, 0.5, 1.0)
BEFORE = Scrape(1000.0, ok=100, errors=5, left_out=30, bounds=BOUNDS, buckets=(90, 10, 5, 0), uptime=200.0)
AFTER = Scrape(1030.0, ok=190, errors=15, left_out=60, bounds=BOUNDS, buckets=(140, 60, 5, 0), uptime=230.0)


def ageless(scrape: Scrape) -> Scrape:
    return replace(scrape, uptime=None)


def test_window_counts_what_happened_in_between() -> None:
    # 50 answers up to 0.1 s and 50 up to 0.5 s: the median ends the first bucket, the rest is in the second.
    assert window(BEFORE, AFTER) == Window(
        seconds=30.0, requests=100, rate=3.333, error_rate=0.1, p50_ms=100.0, p95_ms=460.0, p99_ms=492.0
    )


def test_document_has_the_figures_that_others_rely_on() -> None:
    assert window(BEFORE, AFTER).document() == {
        "seconds": 30.0,
        "requests": 100,
        "rate": 3.333,
        "error_rate": 0.1,
        "p50_ms": 100.0,
        "p95_ms": 460.0,
        "p99_ms": 492.0,
    }


def test_window_without_requests_has_no_rates() -> None:
    later = replace(BEFORE, time=1030.0, uptime=230.0, left_out=99)
    assert window(BEFORE, later) == Window(seconds=30.0, requests=0)
    assert window(BEFORE, later).document()["p99_ms"] is None


def test_error_rate_at_its_limit_is_exactly_the_limit() -> None:
    for errors, requests, limit in ((1, 100, 0.01), (7, 100, 0.07), (3, 300, 0.01), (29, 2900, 0.01)):
        after = Scrape(10.0, ok=requests - errors, errors=errors, uptime=10.0)
        assert window(None, after).error_rate == limit


def test_percentile_beyond_the_last_bound_is_not_known() -> None:
    after = replace(AFTER, buckets=(140, 58, 5, 2))
    seen = window(BEFORE, after)
    assert (seen.p50_ms, seen.p99_ms, seen.beyond_ms) == (100.0, None, 1000.0)
    assert seen.document()["beyond_ms"] == 1000.0


def test_percentile_at_the_edge_of_the_last_bound_is_known() -> None:
    after = replace(AFTER, buckets=(140, 59, 5, 1))
    assert (window(BEFORE, after).p99_ms, window(BEFORE, after).beyond_ms) == (500.0, None)


def test_percentiles_are_not_known_without_a_histogram() -> None:
    before, after = (replace(one, bounds=(), buckets=()) for one in (BEFORE, AFTER))
    seen = window(before, after)
    assert (seen.requests, seen.error_rate) == (100, 0.1)
    assert (seen.p50_ms, seen.p95_ms, seen.p99_ms, seen.beyond_ms) == (None, None, None, None)


def test_percentiles_are_not_known_where_all_answers_are_beyond_every_bound() -> None:
    before, after = replace(BEFORE, bounds=(), buckets=(105,)), replace(AFTER, bounds=(), buckets=(205,))
    assert (window(before, after).p50_ms, window(before, after).beyond_ms) == (None, None)


def test_labels_that_appear_in_between_count_from_zero() -> None:
    before = replace(BEFORE, ok=0, errors=0, bounds=(), buckets=())
    seen = window(before, AFTER)
    assert (seen.requests, seen.p50_ms) == (205, window(None, AFTER).p50_ms)


# ---- restarts


def test_restart_starts_the_window() -> None:
    after = Scrape(1030.0, ok=8, errors=2, bounds=BOUNDS, buckets=(10, 0, 0, 0), uptime=4.0)
    assert window(BEFORE, after) == Window(4.0, 10, 2.5, 0.2, 50.0, 95.0, 99.0)


def test_restart_is_seen_by_age_even_where_all_counts_are_higher() -> None:
    before = replace(BEFORE, ok=1, errors=0, left_out=0, buckets=(1, 0, 0, 0), uptime=2.0)
    after = replace(AFTER, uptime=20.0)
    assert (window(before, after).seconds, window(before, after).requests) == (20.0, 205)


def test_restart_of_an_app_without_an_age_is_seen_by_lost_counts() -> None:
    after = Scrape(1030.0, ok=8, errors=2, left_out=4, bounds=BOUNDS, buckets=(10, 0, 0, 0))
    assert (window(ageless(BEFORE), after).seconds, window(ageless(BEFORE), after).requests) == (30.0, 10)
    healthy = replace(ageless(AFTER), left_out=29)
    assert window(ageless(BEFORE), healthy).requests == 205, "its health checks began anew"


def test_restart_is_seen_by_the_start_of_the_process() -> None:
    before, after = replace(ageless(BEFORE), started=800.0), replace(ageless(AFTER), started=1010.0)
    assert (window(before, after).seconds, window(before, after).requests) == (20.0, 205)
    wobbling = replace(after, started=801.0)
    assert (window(before, wobbling).seconds, window(before, wobbling).requests) == (30.0, 100)


def test_other_buckets_after_a_restart_are_no_trouble() -> None:
    after = Scrape(1030.0, ok=10, bounds=(0.2,), buckets=(10, 0), uptime=4.0)
    assert window(BEFORE, after).p50_ms == 100.0


@pytest.mark.parametrize(
    "after",
    [
        replace(AFTER, ok=99),
        replace(AFTER, errors=4),
        replace(AFTER, left_out=0),
        replace(AFTER, buckets=(89, 60, 5, 0)),
        replace(AFTER, bounds=(), buckets=()),
        replace(AFTER, bounds=(0.1, 0.5, 2.0)),
        replace(AFTER, uptime=None),
    ],
)
def test_lost_counts_without_a_restart_are_no_window(after: Scrape) -> None:
    with pytest.raises(UnreadableMetrics, match="contradict"):
        window(BEFORE, after)
    assert not is_unmoved(BEFORE, after)
    assert choose([BEFORE], after, seconds=30) is None


# ---- clocks


@pytest.mark.parametrize("clock", [-86_400.0, -31.0, -30.0, 0.0, 5.0])
def test_clock_set_back_does_not_change_a_window(clock: float) -> None:
    assert window(BEFORE, replace(AFTER, time=1030.0 + clock)) == window(BEFORE, AFTER)


def test_clock_set_forward_does_not_change_a_window() -> None:
    old, older = replace(BEFORE, uptime=90_000.0), replace(AFTER, uptime=90_030.0)
    assert window(old, replace(older, time=AFTER.time + 3600)) == window(old, older)


def test_length_is_by_the_host_where_the_app_has_no_clock() -> None:
    assert window(ageless(BEFORE), ageless(AFTER)) == window(BEFORE, AFTER)


@pytest.mark.parametrize("time", [1000.0, 999.0, 0.0])
def test_no_window_where_no_clock_went_on(time: float) -> None:
    with pytest.raises(UnreadableMetrics, match="length"):
        window(ageless(BEFORE), replace(ageless(AFTER), time=time))


def test_window_is_never_of_no_length() -> None:
    assert window(BEFORE, replace(AFTER, uptime=200.0001)).seconds == 0.001


# ---- since the start


def test_window_since_the_start_is_as_long_as_the_app_is_old() -> None:
    assert (window(None, AFTER).seconds, window(None, AFTER).requests) == (230.0, 205)
    process = replace(ageless(AFTER), started=1020.0)
    assert (window(None, process).seconds, window(None, process).requests) == (10.0, 205)


@pytest.mark.parametrize("odd", [{"uptime": None}, {"uptime": 0.0}, {"uptime": None, "started": 1031.0}])
def test_no_window_since_a_start_whose_time_is_not_known(odd: dict[str, float | None]) -> None:
    after = replace(AFTER, **odd)  # type: ignore[arg-type]
    assert at_start(after) is None
    with pytest.raises(UnreadableMetrics, match="start time"):
        window(None, after)


# ---- unmoved


def test_unmoved_looks_past_the_paths_left_out() -> None:
    later = replace(BEFORE, time=5000.0, uptime=4200.0, left_out=3000)
    assert is_unmoved(BEFORE, later)
    assert not is_unmoved(BEFORE, replace(later, ok=101))
    assert not is_unmoved(BEFORE, replace(later, errors=6))
    assert not is_unmoved(BEFORE, replace(later, buckets=(90, 10, 5, 1)))


def test_restarted_app_is_not_unmoved() -> None:
    assert not is_unmoved(BEFORE, replace(BEFORE, time=1030.0, uptime=3.0))


# ---- choosing


def back(seconds: float, **changes: int) -> Scrape:
    """A scrape of the same app that much earlier, when it had counted less."""
    earlier = {"ok": 50, "errors": 1, "buckets": (40, 6, 5, 0), "left_out": 20} | changes
    return replace(AFTER, time=AFTER.time - seconds, uptime=230.0 - seconds, **earlier)  # type: ignore[arg-type]


def idle(seconds: float) -> Scrape:
    return replace(AFTER, time=AFTER.time - seconds, uptime=230.0 - seconds)


@pytest.mark.parametrize(
    ("ages", "chosen"),
    [
        ([30], 30),
        ([10, 25, 33, 44], 33),
        ([24], 24),
        ([45], 45),
        ([23.9], None),
        ([45.1], None),
        ([1, 100], None),
        ([], None),
    ],
)
def test_recorded_scrape_of_about_that_age_is_chosen(ages: list[float], chosen: float | None) -> None:
    recorded = [back(age) for age in ages]
    assert choose(recorded, AFTER, seconds=30) == (None if chosen is None else back(chosen))


def test_start_of_a_younger_app_is_chosen() -> None:
    young = replace(AFTER, uptime=12.0)
    chosen = choose([], young, seconds=30)
    assert chosen == at_start(young)
    assert (window(chosen, young).seconds, window(chosen, young).requests) == (12.0, 205)


def test_scrape_before_a_restart_makes_a_window_since_it() -> None:
    young = replace(AFTER, uptime=12.0)
    chosen = choose([BEFORE], young, seconds=30)
    assert (window(chosen, young).seconds, window(chosen, young).requests) == (12.0, 205)


def test_lifetime_of_an_older_app_is_never_chosen() -> None:
    assert choose([], AFTER, seconds=30) is None
    assert choose([replace(BEFORE, uptime=9000.0)], AFTER, seconds=30) is None, "it restarted 230 s ago"


def test_older_scrape_since_which_nothing_moved_is_chosen() -> None:
    chosen = choose([back(2000), idle(100), idle(60), idle(2)], AFTER, seconds=30)
    assert chosen == idle(60)
    assert window(chosen, AFTER) == Window(60.0, 0)


def test_app_that_never_was_asked_is_idle_since_its_start() -> None:
    unasked = Scrape(1000.0, left_out=500, uptime=7200.0)
    assert window(choose([], unasked, seconds=30), unasked) == Window(7200.0, 0)


def test_recorded_scrape_is_chosen_by_the_apps_clock() -> None:
    future = replace(back(30), time=AFTER.time + 3600)
    assert choose([future], AFTER, seconds=30) == future
    assert choose([ageless(future)], ageless(AFTER), seconds=30) is None


def test_recorded_scrape_of_another_kind_is_passed_over() -> None:
    assert choose([ageless(back(30)), back(40)], AFTER, seconds=30) == back(40)


def test_counters_that_go_back_without_a_restart_name_the_multiprocess_mode() -> None:
    """Two workers of one server have a page each; both started in the same second."""
    first = Scrape(1000.0, ok=100, started=900.0)
    other = Scrape(1001.0, ok=40, started=900.4)
    assert went_back(first, other)
    assert not went_back(other, replace(first, time=1002.0))
    with pytest.raises(UnreadableMetrics, match="PROMETHEUS_MULTIPROC_DIR"):
        window(first, other)
