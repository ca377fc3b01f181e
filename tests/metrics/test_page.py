"""Reading metrics pages: whose names they use, and which pages are no scrape."""

from __future__ import annotations

import json
import re

import pytest

from swiftdeploy_tasks.metrics import Scrape, UnreadableMetrics, parse, sources
from swiftdeploy_tasks.metrics.exposition import Sources
from tests.metrics.simulated import BOUNDS, LEFT_OUT, App, Names

WHOLE = """\
# HELP http_requests_total Requests answered.
# TYPE http_requests_total counter
http_requests_total{method="GET",path="/",status_code="200"} 90
http_requests_total{method="GET",path="/",status_code="503"} 10
http_requests_total{method="GET",path="/healthz",status_code="200"} 7
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{method="GET",path="/",le="0.1"} 60
http_request_duration_seconds_bucket{method="GET",path="/",le="0.5"} 95
http_request_duration_seconds_bucket{method="GET",path="/",le="+Inf"} 100
http_request_duration_seconds_sum{method="GET",path="/"} 17.5
http_request_duration_seconds_count{method="GET",path="/"} 100
http_request_duration_seconds_bucket{method="GET",path="/healthz",le="0.1"} 7
http_request_duration_seconds_bucket{method="GET",path="/healthz",le="0.5"} 7
http_request_duration_seconds_bucket{method="GET",path="/healthz",le="+Inf"} 7
http_request_duration_seconds_sum{method="GET",path="/healthz"} 0.1
http_request_duration_seconds_count{method="GET",path="/healthz"} 7
# TYPE app_uptime_seconds gauge
app_uptime_seconds 61.5
# TYPE app_mode gauge
app_mode 1
# TYPE chaos_active gauge
chaos_active 2
"""

FOREIGN = {
    "fastapi": Names(path="handler", status="status", uptime=None),
    "go": Names(path="route", status="code", uptime=None),
    "express": Names(counter=None, uptime="process_uptime_seconds"),
    "spring": Names(counter=None, histogram="http_server_requests_seconds", path="uri", status="status"),
    "flask": Names(counter=None, histogram="flask_http_request_duration_seconds", status="status"),
    "opentelemetry": Names(
        counter=None,
        histogram="http_server_request_duration_seconds",
        path="http_route",
        status="http_response_status_code",
    ),
    "starlette": Names(counter=None, histogram="starlette_request_duration_seconds"),
}


def read(text: str) -> Scrape:
    return parse(text, at=1000.0, leave_out=LEFT_OUT)


def problem(text: str) -> str:
    with pytest.raises(UnreadableMetrics) as caught:
        read(text)
    assert caught.value.next
    return caught.value.message


def test_whole_page_is_read() -> None:
    assert read(WHOLE) == Scrape(
        time=1000.0,
        ok=90,
        errors=10,
        left_out=7,
        bounds=(0.1, 0.5),
        buckets=(60, 35, 5),
        uptime=61.5,
        mode="canary",
        chaos="error",
    )


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN.keys())
def test_names_of_other_apps_are_understood(names: Names) -> None:
    app = App(names)
    app.now += 5
    for status, seconds, path in ((200, 0.002, "/"), (500, 0.3, "/a"), (502, 20, "/a"), (404, 1, "/b")):
        app.answer(status, seconds, path)
    app.answer(path="/healthz")
    scrape = read(app.page())
    assert (scrape.ok, scrape.errors, scrape.left_out) == (2, 2, 1)
    assert scrape.bounds == BOUNDS
    assert scrape.buckets == (1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1)
    assert scrape.uptime == (5 if names.uptime else None)


def test_status_classes_are_understood() -> None:
    text = WHOLE.replace('status_code="503"', 'status="5xx"').replace('status_code="200"', 'status="2xx"')
    assert (read(text).ok, read(text).errors) == (90, 10)


def counted(*samples: str) -> tuple[int, int]:
    """The good answers and the errors of a page with these samples of the counter."""
    scrape = read(
        "".join(f"http_requests_total{{{labels}}} {count}\n" for labels, count in map(pair, samples))
    )
    return scrape.ok, scrape.errors


def pair(sample: str) -> tuple[str, int]:
    labels, count = sample.split(" ")
    return labels, int(count)


def test_answers_that_an_app_counts_by_words_are_distinguished() -> None:
    assert counted('status="success" 6', 'status="error" 54') == (6, 54)
    assert counted('status="OK" 5', 'status="Failure" 3', 'status="client_error" 2') == (7, 3)
    assert counted('status="server_error" 1', 'status="redirection" 4') == (4, 1)


def test_status_labels_that_agree_are_read_together_whatever_their_order() -> None:
    assert counted('status="success",code="200" 6', 'status="error",code="500" 54') == (6, 54)
    assert counted('status="error",code="404" 3', 'code="404",status="error" 2') == (5, 0)
    assert counted('status="5xx",status_code="503" 3') == (0, 3)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ('status="success",code="500"', 'status="success" and code="500"'),
        ('status="error",code="200"', 'status="error" and code="200"'),
        ('status_code="200",http_status_code="5xx"', 'status_code="200" and http_status_code="5xx"'),
    ],
)
def test_status_labels_that_disagree_are_no_scrape(labels: str, said: str) -> None:
    assert f"contradicts itself: a sample has {said}" in problem(f"http_requests_total{{{labels}}} 3\n")


@pytest.mark.parametrize(
    "value", ["degraded", "5", "50", "5000", "600", "000", "0x1F4", "5x", "٥٠٠", "200 OK"]
)
def test_a_status_that_cannot_be_read_is_no_scrape_and_is_named(value: str) -> None:
    page = f'http_requests_total{{status="200"}} 90\nhttp_requests_total{{status="{value}"}} 1\n'
    assert f"http_requests_total has status={json.dumps(value)}, which is no HTTP status" in problem(page)
    assert "no HTTP status" in problem(page.splitlines(keepends=True)[1])


def test_a_label_value_is_quoted_whole_or_not_at_all_and_printable() -> None:
    assert "status=a value of 41 characters" in problem(f'http_requests_total{{status="{"x" * 41}"}} 3\n')
    assert r'status="\u001b[2J"' in problem('http_requests_total{status="\x1b[2J"} 3\n')


def test_a_label_that_never_reads_as_a_status_is_none() -> None:
    assert counted('code="EUR",status="200" 6', 'code="USD",status="500" 2') == (6, 2)
    assert counted('status="active",status_code="500" 2') == (0, 2)


def test_a_status_that_counts_nothing_or_is_left_out_need_not_be_read() -> None:
    assert counted('status="200" 6', 'status="unknown" 0', 'path="/healthz",status="up" 3') == (6, 0)


def test_order_of_labels_series_and_buckets_does_not_matter() -> None:
    lines = WHOLE.splitlines(keepends=True)
    families = [[lines[0]]]
    for line in lines[1:]:
        if line.startswith("# TYPE"):
            families.append([])
        families[-1].append(line)
    turned = "".join(line for family in families for line in (family[0], *reversed(family[1:])))
    turned = re.sub(r"\{(.+?),([^,]+?)\}", r"{\2,\1}", turned)
    assert turned != WHOLE
    assert read(turned) == read(WHOLE)


def test_app_that_labels_no_path_is_counted_wholly() -> None:
    assert read('http_requests_total{code="200"} 3\nhttp_requests_total{code="500"} 1\n') == Scrape(
        1000.0, ok=3, errors=1
    )


def test_start_of_the_process_is_read() -> None:
    scrape = read(WHOLE + "process_start_time_seconds 940.5\n")
    assert scrape.started == 940.5
    assert scrape.age == 61.5, "its own clock goes before the host's"
    assert read('http_requests_total{code="200"} 3\nprocess_start_time_seconds 940\n').age == 60


def test_counter_that_has_counted_nothing_yet_is_zero() -> None:
    page = App().page()
    assert "http_requests_total{" not in page
    assert (read(page).ok, read(page).errors, read(page).buckets) == (0, 0, ())


def test_counter_without_histogram_is_a_scrape() -> None:
    scrape = read('http_requests_total{path="/",status="200"} 3\n')
    assert (scrape.ok, scrape.bounds, scrape.buckets) == (3, (), ())


def test_figures_of_no_interest_may_be_odd() -> None:
    assert read(WHOLE + "temperature NaN\nbalance -3e400\n") == read(WHOLE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cut short"),
        (WHOLE.rstrip("\n"), "cut short"),
        (WHOLE[: WHOLE.index("} 95")], "cut short"),
        (WHOLE[: WHOLE.index("} 95")] + "\n", "not Prometheus text"),
        ("<html><body>Not found</body></html>\n", "not Prometheus text"),
        ('{"error": "not found"}\n', "not Prometheus text"),
        ("\x00\x01\xff\n", "not Prometheus text"),
        ("# nothing here\n", "no request counter"),
        ("temperature 3\n", "no request counter"),
        ('http_requests_total{path="/"} 3\n', "no status label"),
        ('http_requests_total{code="200"} 3\nhttp_requests_total{} 3\n', "on some of its samples only"),
        ('http_requests_total{} 3\nhttp_requests_total{code="200"} 3\n', "on some of its samples only"),
        (
            'http_requests_total{code="200"} 3\nhttp_requests_total{code=""} 3\n',
            "on some of its samples only",
        ),
        (WHOLE.replace("} 10\n", "} NaN\n"), "no count"),
        (WHOLE.replace("} 10\n", "} -1\n"), "no count"),
        (WHOLE.replace("} 10\n", "} 1.5\n"), "no count"),
        (WHOLE.replace("} 10\n", "} +Inf\n"), "no count"),
        (WHOLE.replace("} 10\n", "} 1e300\n"), "no count"),
        (WHOLE.replace("} 10\n", f"}} {10**400}\n"), "no count"),
        (WHOLE.replace("} 95\n", "} NaN\n"), "no count"),
        (WHOLE.replace("} 95\n", "} 5\n"), "contradicts itself"),
        (WHOLE.replace("seconds 61.5", "seconds NaN"), "no figure"),
        (WHOLE.replace('le="0.5"', 'le="wide"'), "without a bound"),
        (WHOLE.replace('le="0.5"', 'le="NaN"'), "one of none"),
        (WHOLE.replace('le="0.5"', 'le="0.1"'), "two buckets of one bound"),
        (WHOLE.replace('path="/healthz",le="0.5"', 'path="/healthz",le="0.7"'), "different buckets"),
        (re.sub(r'.*path="/",le="\+Inf".*\n', "", WHOLE), "+Inf"),
        (re.sub(r'.*_count\{method="GET",path="/"\}.*\n', "", WHOLE), "cut short"),
        (WHOLE.replace("} 100\n", "} 99\n", 1), "+Inf"),
        (re.sub(r".*_bucket.*\n|.*_sum.*\n|.*_count.*\n", "", WHOLE), "cut short"),
        ("# " + "x" * 20_000 + "\n" + WHOLE, "a line of the metrics has 20002 characters"),
        (WHOLE * 3000, "at most 2000000"),
    ],
)
def test_page_that_cannot_be_trusted_is_refused(text: str, words: str) -> None:
    assert words in problem(text)


def test_page_cut_anywhere_is_refused_or_has_lost_its_age() -> None:
    """Cut between two families a page is a page; a window then misses the age of the page before."""
    uptime_ends = WHOLE.index("61.5\n") + 5
    for end in range(uptime_ends):
        try:
            assert read(WHOLE[:end]).age is None
        except UnreadableMetrics:
            continue
    assert read(WHOLE[:uptime_ends]).age == 61.5


def test_scrape_comes_back_from_its_document() -> None:
    scrape = read(WHOLE + "process_start_time_seconds 940.5\n")
    assert Scrape.from_document(scrape.document()) == scrape
    assert Scrape.from_document(Scrape(time=3.0).document()) == Scrape(time=3.0)


@pytest.mark.parametrize(
    "change",
    [
        {"time": None},
        {"time": float("nan")},
        {"ok": -1},
        {"ok": True},
        {"errors": "3"},
        {"left_out": 1.5},
        {"bounds": "0.5 0.1"},
        {"bounds": "0.1 much"},
        {"bounds": "0.1 inf"},
        {"bounds": [0.1, 0.5]},
        {"bounds": 7},
        {"buckets": [1, 2]},
        {"buckets": 7},
        {"buckets": []},
        {"buckets": [1, None, 3]},
        {"uptime": "1"},
        {"started": []},
        {"mode": 1},
    ],
)
def test_damaged_record_is_no_scrape(change: dict[str, object]) -> None:
    with pytest.raises(UnreadableMetrics, match="damaged"):
        Scrape.from_document(read(WHOLE).document() | change)


def test_record_that_lacks_a_value_is_no_scrape() -> None:
    document = read(WHOLE).document()
    for name in document:
        with pytest.raises(UnreadableMetrics, match=name):
            Scrape.from_document({key: value for key, value in document.items() if key != name})


def test_an_unlabelled_count_of_nothing_is_nothing() -> None:
    page = (
        "# TYPE http_requests_total counter\n"
        "# TYPE http_request_duration_seconds histogram\n"
        'http_request_duration_seconds_bucket{le="+Inf"} 0\n'
        "http_request_duration_seconds_count 0\n"
        "http_request_duration_seconds_sum 0\n"
    )
    scrape = parse(page, at=100.0)
    assert (scrape.ok, scrape.errors, scrape.left_out) == (0, 0, 0)


def test_what_the_app_wrote_is_not_quoted_as_it_may_be_a_secret() -> None:
    with pytest.raises(UnreadableMetrics) as caught:
        read("# HELP x y\nhttp_requests_total the-secret\n")
    assert caught.value.message == "the metrics are not Prometheus text, at line 2"


def test_the_mark_of_openmetrics_ends_a_page_without_a_line_feed() -> None:
    assert read(WHOLE + "# EOF") == read(WHOLE + "# EOF\n") == read(WHOLE)
    assert "cut short" in problem(WHOLE + "# EO")
    assert "cut short" in problem(WHOLE.rstrip("\n") + "# EOF")


@pytest.mark.parametrize(
    ("page", "counter", "histogram"),
    [
        (WHOLE, "http_requests_total", "http_request_duration_seconds"),
        ('http_requests_total{code="200"} 1\n', "http_requests_total", ""),
        ("# TYPE http_requests_total counter\n", "http_requests_total", ""),
        (
            "# TYPE http_server_requests_seconds histogram\n",
            "http_server_requests_seconds",
            "http_server_requests_seconds",
        ),
    ],
)
def test_what_is_read_of_a_page_is_known_before_it_has_counted(
    page: str, counter: str, histogram: str
) -> None:
    assert sources(page) == Sources(counter, histogram)
