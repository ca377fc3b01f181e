"""Any traffic of a simulated app, exposed by a real client: a window says what truly happened."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.metrics import Scrape, UnreadableMetrics, choose, is_unmoved, parse, window
from swiftdeploy_tasks.metrics.exposition import STATUS_WORDS
from tests.metrics.simulated import BOUNDS, LEFT_OUT, App, Names

STATUSES = (200, 204, 301, 404, 499, 500, 502, 503)
PATHS = ("/", "/orders", "/healthz", "/metrics", "/chaos", "other")
AGELESS = Names(uptime=None)


@dataclass(frozen=True)
class Answer:
    status: int
    path: str
    seconds: float

    @property
    def counts(self) -> bool:
        return self.path not in LEFT_OUT


answers = st.builds(
    Answer,
    st.sampled_from(STATUSES),
    st.sampled_from(PATHS),
    st.sampled_from(BOUNDS) | st.floats(0, 9.99),
)
traffic = st.lists(answers, max_size=40)
pauses = st.floats(0.01, 500).map(lambda seconds: round(seconds, 3))
clocks = st.floats(-1e6, 1e6)


def serve(app: App, asked: list[Answer], seconds: float) -> None:
    for answer in asked:
        app.answer(answer.status, answer.seconds, answer.path)
    app.now += seconds


def scrape(app: App, clock: float = 1e9) -> Scrape:
    return parse(app.page(), at=clock + app.now, leave_out=LEFT_OUT)


def agrees(seen: list[Answer], before: Scrape | None, after: Scrape) -> None:
    """Check the window against what was truly asked in it."""
    counted = [answer for answer in seen if answer.counts]
    found = window(before, after)
    assert found.seconds > 0
    assert found.requests == len(counted)
    if not counted:
        assert found.rate is found.error_rate is found.p99_ms is None
        return
    assert found.error_rate == sum(answer.status >= 500 for answer in counted) / len(counted)
    durations = sorted(answer.seconds for answer in counted)
    for percent, figure in ((50, found.p50_ms), (95, found.p95_ms), (99, found.p99_ms)):
        true = durations[-(-percent * len(durations) // 100) - 1]
        upper = next(bound for bound in BOUNDS if true <= bound)
        lower = max((bound for bound in BOUNDS if bound < upper), default=0.0)
        assert figure is not None
        assert lower * 1000 <= figure <= upper * 1000


@settings(deadline=None)
@given(first=traffic, second=traffic, age=pauses, length=pauses, turned=clocks)
def test_window_is_the_truth_whatever_the_clock_does_backwards(
    first: list[Answer], second: list[Answer], age: float, length: float, turned: float
) -> None:
    app = App()
    serve(app, first, age)
    before = scrape(app)
    serve(app, second, length)
    after = scrape(app, 1e9 - abs(turned))
    agrees(second, before, after)
    assert abs(window(before, after).seconds - length) < 0.002
    assert is_unmoved(before, after) is not any(answer.counts for answer in second)


@settings(deadline=None)
@given(first=traffic, second=traffic, age=pauses, length=pauses)
def test_window_of_an_app_without_an_age_is_the_truth(
    first: list[Answer], second: list[Answer], age: float, length: float
) -> None:
    app = App(AGELESS)
    serve(app, first, age)
    before = scrape(app)
    serve(app, second, length)
    agrees(second, before, scrape(app))


@settings(deadline=None)
@given(first=traffic, lost=traffic, second=traffic, age=pauses, until=pauses, length=pauses)
def test_window_after_a_restart_is_what_happened_since(
    first: list[Answer], lost: list[Answer], second: list[Answer], age: float, until: float, length: float
) -> None:
    app = App()
    serve(app, first, age)
    before = scrape(app)
    serve(app, lost, until)
    app.restart()
    serve(app, second, length)
    agrees(second, before, scrape(app))
    assert abs(window(before, scrape(app)).seconds - length) < 0.002


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(traffic, pauses), min_size=1, max_size=8), wanted=st.sampled_from([5, 30, 60])
)
def test_chosen_window_is_true_and_about_as_long_as_wanted(
    steps: list[tuple[list[Answer], float]], wanted: int
) -> None:
    app = App()
    recorded: list[Scrape] = []
    moments: list[tuple[float, list[Answer]]] = []
    for asked, pause in steps:
        moments.append((app.now, asked))
        serve(app, asked, pause)
        recorded.append(scrape(app))
    *earlier, now = recorded
    chosen = choose(earlier, now, seconds=wanted)
    if chosen is None:
        return
    seen = [answer for moment, asked in moments if moment >= (chosen.uptime or 0) - 1e-6 for answer in asked]
    agrees(seen, chosen, now)
    found = window(chosen, now)
    is_whole_life = abs(found.seconds - app.now) < 0.002
    about = 0.8 * wanted - 0.001 <= found.seconds <= 1.5 * wanted + 0.001
    assert about or found.requests == 0 or (is_whole_life and found.seconds < wanted)


WORDS = {"success": False, "error": True, "failure": True, "client_error": False, "server_error": True}


@given(st.lists(st.tuples(st.sampled_from([*WORDS, "2xx", "404", "500"]), st.integers(1, 99)), min_size=1))
def test_every_answer_is_counted_once_whatever_word_stands_for_its_status(
    seen: list[tuple[str, int]],
) -> None:
    app = App(Names(status="status"))
    for status, times in seen:
        for _ in range(times):
            app.answer(status=status)
    errors = sum(times for status, times in seen if WORDS.get(status, status.startswith("5")))
    assert (scrape(app).ok, scrape(app).errors) == (sum(times for _, times in seen) - errors, errors)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_status_label_is_an_error_a_good_answer_or_unreadable_and_never_silently_good(value: str) -> None:
    app = App(Names(status="status"))
    app.answer(status=value)
    try:
        found = scrape(app)
    except UnreadableMetrics:
        return
    good = value.lower() in {"informational", "ok", "success", "redirection", "client_error"}
    assert found.errors == (0 if good or value[0] in "1234" else 1)
    assert value.lower() in STATUS_WORDS or (len(value) == 3 and value[0] in "12345")
