"""Windows of a slot from nginx's access log: true seconds, each request once, in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from swiftdeploy_tasks.metrics import AccessLog, Counted, LogWindows, first_whole_second

BLUE, GREEN = "10.0.0.2:3000", "10.0.0.3:3000"
START = 1_795_946_400  # 2026-11-29T10:00:00Z


def line(
    at: int, status: str = "200", took: str = "0.020", slot: str = BLUE, request: str = "GET / HTTP/1.1"
) -> str:
    when = datetime.fromtimestamp(START + at, UTC).isoformat()
    return f"{when} | {status} | {took}s | {slot} | {request}"


def log(lines: Iterable[str], *, since: float, until: float) -> AccessLog:
    return AccessLog(tuple(lines), START + since, START + until)


def look(windows: LogWindows, lines: Iterable[str], *, since: float = -100.0, until: float = 40.0) -> None:
    windows.add(log(lines, since=since, until=until), leave_out="/healthz", keep=32)


def window(windows: LogWindows, slot: str = BLUE, *, seconds: float = 30.0, started: float = -1e9) -> Counted:
    found = windows.of_slot(slot, seconds=seconds, started=START + started)
    assert found is not None
    return found


def of(*lines: str, slot: str = BLUE) -> tuple[int, int, int]:
    """The requests, errors and client errors of these lines."""
    windows = LogWindows()
    look(windows, lines)
    found = window(windows, slot)
    return (
        found.window.requests,
        round((found.window.error_rate or 0) * found.window.requests),
        (found.client_errors),
    )


def test_a_window_has_what_one_slot_answered_in_its_seconds() -> None:
    windows = LogWindows()
    look(
        windows,
        [
            line(9, "500"),
            line(10, "500"),
            line(31, "500", request="GET /?a | b HTTP/1.1"),
            line(33, "404"),
            line(34, slot=GREEN),
            line(35, "403", "0.000", "-", "GET /metrics HTTP/1.1"),
        ],
    )
    found = window(windows)
    assert (found.window.seconds, found.window.requests, found.window.rate) == (30.0, 3, 0.1)
    assert (found.window.error_rate, found.client_errors) == (2 / 3, 1)
    assert window(windows, GREEN).window.requests == 1


@pytest.mark.parametrize(
    ("status", "took", "counts"),
    [
        ("200", "0.010", (1, 0, 0)),
        ("101", "9.000", (1, 0, 0)),
        ("404", "0.010", (1, 0, 1)),
        ("500", "0.010", (1, 1, 0)),
        ("504", "2.000", (1, 1, 0)),
        ("009", "0.010", (1, 1, 0)),
        ("499", "0.900", (0, 0, 0)),
        ("499", "1.000", (1, 1, 0)),
    ],
)
def test_an_answer_counts_by_its_status(status: str, took: str, counts: tuple[int, int, int]) -> None:
    assert of(line(20, status, took)) == counts


def test_a_retried_request_counts_for_both_slots_and_its_time_for_the_one_that_failed() -> None:
    windows = LogWindows()
    look(windows, [line(20, "200", "0.900", f"{BLUE}, {GREEN}")])
    failed, answered = window(windows, BLUE).window, window(windows, GREEN).window
    assert (failed.requests, failed.error_rate, answered.requests, answered.error_rate) == (1, 1.0, 1, 0.0)
    assert answered.p99_ms is None
    assert failed.p99_ms is not None and 750 <= failed.p99_ms <= 1000


def test_a_percentile_lies_in_the_bucket_of_its_time() -> None:
    windows = LogWindows()
    look(windows, [*(line(20, took="0.003") for _ in range(98)), line(20, took="0.7"), line(20, took="0.7")])
    found = window(windows).window
    assert found.p50_ms is not None and 2.5 <= found.p50_ms <= 5
    assert found.p99_ms is not None and 500 <= found.p99_ms <= 750


def test_the_duration_of_an_upgraded_connection_is_not_a_latency() -> None:
    windows = LogWindows()
    look(windows, [line(20, "101", "3600.000"), line(20, took="0.003")])
    assert (window(windows).window.p99_ms or 1e9) <= 5


@pytest.mark.parametrize("request_line", ["GET /healthz HTTP/1.1", "HEAD /healthz?deep=1 HTTP/1.1"])
def test_requests_of_the_health_path_are_left_out(request_line: str) -> None:
    assert of(line(20, request=request_line), line(20, request="GET /healthz/x HTTP/1.1"))[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "what nginx printed when it started",
        "a | b | c | d | e",
        line(20)[10:],
        line(20)[:50],
        line(20, took="-"),
    ],
)
def test_a_line_in_another_form_is_skipped(text: str) -> None:
    assert of(text, line(20)) == (1, 0, 0)


def test_a_line_that_was_half_written_is_counted_once() -> None:
    windows, whole = LogWindows(), [line(38), line(39)]
    for end in (*range(len(whole[1])), len(whole[1])):
        look(windows, [whole[0], whole[1][:end]], since=-100 if not end else 36.4)
    assert window(windows).window.requests == 2


def test_successive_looks_need_only_the_last_seconds_and_count_each_request_once() -> None:
    windows = LogWindows()
    for now in range(1, 101):
        back = windows.seconds_to_read(30, now=START + now)
        assert back == (31 if now == 1 else 4)
        look(windows, (line(at) for at in range(max(0, now - int(back)), now)), since=now - back, until=now)
    found = window(windows).window
    assert (found.seconds, found.requests, found.rate) == (30.0, 30, 1.0)


def test_a_line_that_a_slow_writer_brings_late_is_counted() -> None:
    windows = LogWindows()
    look(windows, [line(38)], until=40.0)
    look(windows, [line(38), line(38), line(39), line(40)], since=37.0, until=41.0)
    assert window(windows).window.requests == 4


def test_a_log_that_was_rotated_between_two_looks_loses_nothing_that_was_seen() -> None:
    windows = LogWindows()
    look(windows, [line(38), line(39), line(39)], until=40.0)
    look(windows, [line(39), line(40)], since=37.0, until=41.0)
    assert window(windows).window.requests == 4


def test_a_log_that_was_cut_off_gives_a_shorter_window_with_the_true_rate() -> None:
    lines = [line(at) for at in range(25, 40) for _ in range(100)][30:]
    windows = LogWindows()
    windows.add(
        AccessLog(tuple(lines), first_whole_second(lines, otherwise=0.0), START + 40.0), leave_out="", keep=32
    )
    found = window(windows).window
    assert (found.seconds, found.rate) == (14.0, 100.0)


def test_a_log_that_was_cut_off_and_has_no_access_line_covers_no_time() -> None:
    windows = LogWindows()
    windows.add(
        AccessLog(("x",), first_whole_second(["x"], otherwise=START + 40.5), START + 40.5),
        leave_out="",
        keep=32,
    )
    assert windows.of_slot(BLUE, seconds=30) is None


def test_lines_before_a_gap_between_two_reads_are_forgotten() -> None:
    windows = LogWindows()
    look(windows, [line(at) for at in range(10, 20)], until=20.0)
    look(windows, [line(at) for at in range(25, 30)], since=25.0, until=30.0)
    found = window(windows).window
    assert (found.seconds, found.requests) == (5.0, 5)


def test_a_clock_that_is_set_back_starts_a_new_count() -> None:
    windows = LogWindows()
    look(windows, [line(at) for at in range(10, 40)], until=40.0)
    assert windows.seconds_to_read(30, now=START + 20.0) == 31
    look(windows, [line(at) for at in range(10, 20)], since=-11.0, until=20.0)
    assert window(windows).window.requests == 10


def test_a_slot_that_is_younger_than_the_window_is_measured_since_its_start() -> None:
    windows = LogWindows()
    look(windows, [line(20, "500"), line(36)])
    found = window(windows, started=35.5).window
    assert (found.seconds, found.requests, found.error_rate) == (4.5, 1, 0.0)


def test_a_slot_without_requests_has_an_empty_window_of_the_whole_length() -> None:
    windows = LogWindows()
    look(windows, [line(20)])
    assert window(windows, GREEN).window.document()["requests"] == 0
    assert window(windows, GREEN).window.seconds == 30.0


def test_memory_stays_bounded() -> None:
    windows = LogWindows()
    for now in range(1000):
        look(windows, [line(now - 1), line(now - 1, slot=GREEN)], since=now - 4, until=now)
    held = vars(windows)["_seconds"]
    assert len(held) <= 33
    assert sum(map(sys.getsizeof, held.values())) < 50_000
