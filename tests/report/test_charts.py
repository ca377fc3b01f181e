"""The charts of a story join only what belongs together, and say in words what they draw."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from swiftdeploy_tasks.report import charts, gathering, telling
from swiftdeploy_tasks.report.course import Series
from swiftdeploy_tasks.report.density import Span
from swiftdeploy_tasks.report.story import Period, Story
from swiftdeploy_tasks.report.telling import tell
from tests.report import day
from tests.report.records import BEGAN, WHOLE, chained, finished, scrape, started, verdict

RATE = charts.MEASURES[0]


@pytest.fixture(scope="module")
def story() -> Story:
    return day.story()


def test_no_line_joins_two_releases_that_stood_in_one_slot(story: Story) -> None:
    series = next(one for one in story.series if one.slot == "blue")
    first, second, *_ = series.points
    points = (first, second._replace(release="another", gap=False))
    values = list(charts._with_gaps(points, RATE))
    between = [value for at, value in values if first.at < at <= second.at]
    assert between == [None, second.rate]


def test_where_nobody_looked_there_is_a_gap(story: Story) -> None:
    green = next(one for one in story.series if one.slot == "green")
    values = list(charts._with_gaps(green.points, RATE))
    unknown = [at - BEGAN for at, value in values if value is None]
    assert unknown[1:] == [420.0]


def test_a_release_that_is_not_confirmed_gives_its_share_back(story: Story) -> None:
    sick = next(change for change in story.changes if change.way_back)
    assert sick.way_back
    (_, before), *_, (at, after) = charts._shares_set(sick)
    assert (at, after) == (sick.way_back.at, before)
    stayed = next(change for change in story.changes if change.verb == "promote" and change.is_confirmed)
    assert charts._shares_set(stayed)[-1][1] == (("green", 100),)


def test_the_shares_of_a_rollover_follow_its_steps(story: Story) -> None:
    promote = next(change for change in story.changes if change.verb == "promote" and change.is_confirmed)
    drawn = charts.of_rollovers(story)[promote.seq]
    assert drawn.text == "blue 90 %, green 10 % → blue 50 %, green 50 % → green 100 %"
    assert drawn.wide.startswith("<svg")


def test_the_end_of_a_chaos_is_not_counted_as_another_one(story: Story) -> None:
    assert [event.kind for event in story.events].count("chaos_gone") == 1
    happened = charts.of(story)[0]
    assert "chaos 1," in happened.text


def test_a_series_is_told_with_its_lowest_and_highest_figure_and_the_limit(story: Story) -> None:
    errors = next(chart for chart in charts.of(story) if chart.title.startswith("Errors"))
    assert "app-green: 0 to 31 %, highest at 15:10:05, above the limit between" in errors.text
    assert "between 15:10:05 and 15:11:35; limit 1 %" in errors.text
    assert "app-blue: always 0 %;" in errors.text


def test_a_rule_that_said_no_comes_first_and_says_how_often(story: Story) -> None:
    first = charts.of_rules(story)[0]
    assert first.title == "max_error_rate"
    assert "said no twice" in first.text
    assert "against a limit of 0.01" in first.text


def test_a_rule_is_counted_alike_beside_its_chart_and_in_the_table() -> None:
    seen = day.check("max_error_rate", 0.5, 0.01, passed=False)
    asked = {"domain": "canary", "allow": False, "checks": [seen]}
    rows = [row | ({"verdicts": [asked]} if row["event"] == "scrape" else {}) for row in day.contents()]
    story = day.story(rows)
    rule = next(one for one in story.rules if one.last.rule == "max_error_rate")
    text = next(one.text for one in charts.of_rules(story) if one.title == "max_error_rate")
    assert rule.failed > 100
    assert f"asked {rule.made} times, said no {rule.failed} times; last" in text


def test_a_story_without_scrapes_and_changes_has_no_empty_charts() -> None:
    assert charts.of(day.story([])) == []
    bare = replace(day.story(), series=(Series("blue", (), 0),))
    titles = [chart.title for chart in charts.of(bare)]
    assert titles == ["What happened", "Share of each slot, in % of requests"]


EXTREMES = {"9999-12-31T23:59:59.999Z": 253402300799.999, "0001-01-01T00:00:00Z": -62135596800.0}


@pytest.mark.parametrize("time", EXTREMES.values(), ids=EXTREMES)
def test_a_time_at_the_end_of_the_calendar_stops_no_chart_and_the_way_to_it_is_said(time: float) -> None:
    rows = day.contents()
    rows[-1]["after"] = time - BEGAN
    story = day.story(rows)
    assert len(charts.of(story)) == 5
    assert any("invoke audit --html --" in note for note in charts.notes(story))


@pytest.mark.parametrize("extreme", [1e308, -1e308, -1.0], ids=str)
def test_a_figure_that_cannot_be_is_not_known_and_that_is_said(extreme: float) -> None:
    rows = [scrape(5 * n, 10.0, 0.5) for n in range(6)]
    rows[3]["slots"]["blue"]["window"] |= {"rate": extreme}
    rows[4]["slots"]["blue"]["window"] |= {"error_rate": 1.5, "p99_ms": extreme}
    story = tell(chained(rows), WHOLE)
    rate, errors, p99 = (chart.text for chart in charts.of(story)[1:4])
    assert rate == "app-blue: always 10 requests/s."
    assert errors == "app-blue: always 50 %."
    assert p99 == "app-blue: always 4 ms."
    assert any(note.startswith("3 figures that cannot be") for note in charts.notes(story))


@pytest.mark.parametrize("extreme", [1e308, -1e308], ids=str)
def test_what_a_rule_saw_beyond_all_axes_is_drawn_at_the_edge_and_that_is_said(extreme: float) -> None:
    story = tell(chained([started("deploy", "r1"), verdict("r1", allow=False, observed=extreme)]), WHOLE)
    (one,) = charts.of_rules(story)
    assert "figures beyond 1e+15 are drawn there" in one.text


def changes(many: int, apart: float) -> list[dict[str, Any]]:
    return [
        row
        for n in range(many)
        for row in (
            started("deploy", f"r{n}", after=apart * n),
            finished("deploy", f"r{n}", after=apart * n + 1),
        )
    ]


def test_what_happened_long_ago_is_counted_and_drawn_also_where_its_rows_are_not_kept() -> None:
    many = 3 * telling.MOST_CHANGES
    story = tell(chained(changes(many, 60.0)), WHOLE)
    happened = charts.of(story)[0]
    assert f": deploy {many}." in happened.text
    assert story.summary.tally("deploy").runs == many
    drawn = sorted(sign.at - BEGAN for sign in story.signs)
    assert drawn[0] == 0.0
    assert max(later - one for one, later in pairwise(drawn)) <= 60.0 * many / 100


def test_a_way_back_by_itself_is_no_rollback_that_somebody_asked_for(story: Story) -> None:
    assert "rollback 1, rolled back by itself 1," in charts.of(story)[0].text
    assert story.summary.tally("rollback").runs == story.summary.automatic_rollbacks == 1


def test_a_change_that_began_before_the_period_is_drawn_at_its_start() -> None:
    rows = [started("deploy", "r1", after=0), scrape(50, 1.0), finished("deploy", "r1", after=60)]
    story = tell(chained(rows), WHOLE, Period(BEGAN + 40, BEGAN + 100))
    (mark,) = charts._marks(story.signs, Span(BEGAN + 40, BEGAN + 60))
    assert (mark.time, mark.kind) == (BEGAN + 40, "deploy")
    assert "Outside" not in charts.of(story)[0].text


def test_the_axis_is_the_period_that_was_asked_for_as_far_as_the_history_reaches() -> None:
    rows = [scrape(5.0 * n, 1.0) for n in range(100)]
    rows.append(started("audit", "a1", after=90_000))
    whole = tell(chained(rows), WHOLE).stretch
    assert whole and (whole.start, whole.end) == (BEGAN, BEGAN + 495)
    asked = Period(BEGAN + 98, BEGAN + 102)
    part = tell(chained([scrape(5.0 * n, 1.0) for n in range(100)]), WHOLE, asked).stretch
    assert part and (part.start, part.end) == (asked.since, asked.until)
    wide = Period(BEGAN - 1000, BEGAN + 102)
    part = tell(chained([scrape(5.0 * n, 1.0) for n in range(100)]), WHOLE, wide).stretch
    assert part and (part.start, part.end) == (BEGAN, wide.until)


def test_a_clock_that_was_wrong_hides_nothing_and_what_is_not_drawn_is_said() -> None:
    wrong = 60 * 365 * 86_400.0
    rows = [started("deploy", "r0", after=-wrong), finished("deploy", "r0", after=1 - wrong)]
    story = tell(chained([*rows, *day.contents()]), WHOLE)
    whole = day.story().stretch
    assert story.stretch and whole
    assert (story.stretch.start, story.stretch.end) == (whole.start, whole.end)
    notes = " ".join(charts.notes(story))
    assert "jump from 1966-12-09 15:00:01 to 2026-11-24 15:00:00" in notes
    assert "invoke audit --html --until 1966-12-09T15:00:01Z" in notes
    assert "not drawn for that: 2." in notes
    assert "Outside of this time, and not drawn: 1." in charts.of(story)[0].text
    assert not [event for event in story.events if event.kind == "clock"]


def test_a_history_with_few_changes_a_year_has_no_jump_in_it() -> None:
    story = tell(chained(changes(12, 45 * 86_400.0)), WHOLE)
    assert story.stretch and story.stretch.jumps == ()
    assert story.stretch.end - story.stretch.start > 11 * 45 * 86_400


def test_a_slot_that_was_lost_has_no_share_from_the_scrape_on_that_found_it_gone() -> None:
    weights = {"blue": 100}
    step = {"event": "step", "run": "r1", "action": "route", "target": "nginx"}
    gone = {"slots": {"blue": None, "green": None}}
    rows = [
        started("deploy", "r1", after=0),
        step | {"weights": weights, "after": 1},
        step | {"outcome": "done", "seconds": 0.5, "after": 1.5},
        finished("deploy", "r1", after=2),
        *(scrape(10.0 + n, 5.0) for n in range(3)),
        *(scrape(20.0 + n, 5.0) | gone for n in range(3)),
        scrape(30, 5.0),
    ]
    (blue,) = tell(chained(rows), WHOLE).shares
    assert [(at - BEGAN, share) for at, share in blue.values] == [(1.5, 100), (20, 0), (30, 100)]


def test_traffic_to_nobody_is_told_from_shares_that_are_not_on_record() -> None:
    step = {"event": "step", "run": "r1", "action": "route", "target": "nginx"}
    done = {"event": "step", "run": "r1", "outcome": "done"}
    rows = [started("deploy", "r1"), step, done, step | {"weights": {}}, done]
    rows += [step | {"weights": {"blue": 100}}, done, finished("deploy", "r1")]
    story = tell(chained(rows), WHOLE)
    (change,) = story.changes
    assert [one.weights for one in change.steps] == [None, (), (("blue", 100),)]
    assert charts.of_rollovers(story)[1].text == "nobody → blue 100 %"


def test_shares_of_one_moment_stay_in_the_order_in_which_they_were_set() -> None:
    shares = gathering.Shares()
    for value in ({"blue": 100.0}, {"green": 100.0}):
        shares.set(BEGAN, value, is_told=True)
    assert [(one.slot, one.values[-1][1]) for one in shares.shares()] == [("blue", 0.0), ("green", 100.0)]


def test_what_rules_said_no_to_in_a_dashboard_is_drawn_too() -> None:
    seen = day.check("max_error_rate", 0.5, 0.01, passed=False)
    asked = {"domain": "canary", "allow": False, "checks": [seen]}
    rows = [scrape(5.0 * n, 1.0) | {"verdicts": [asked]} for n in range(4)]
    (one,) = charts.of_rules(tell(chained(rows), WHOLE))
    assert one.text.startswith("canary: asked 4 times, said no 4 times; last")
    rows = [
        row | {"verdicts": [{**asked, "allow": True, "checks": [{**seen, "passed": True}]}]} for row in rows
    ]
    (one,) = charts.of_rules(tell(chained(rows), WHOLE))
    assert one.text.startswith("canary: asked 4 times, never said no; 1 of the 4 are drawn; last")


def test_that_there_are_more_rules_and_slots_than_are_drawn_is_said() -> None:
    checks = [day.check(f"rule_{n}", 1.0, 2.0, passed=True) for n in range(charts.MOST_RULES + 3)]
    rows = [started("deploy", "r1"), verdict("r1", allow=True, checks=checks)]
    row = scrape(5, 1.0)
    row["slots"] = {f"slot{n}": row["slots"]["blue"] for n in range(gathering.MOST_SLOTS + 1)}
    story = tell(chained([*rows, row]), WHOLE)
    assert charts.notes_of_rules(story) == [
        "3 more rules observe figures; they are in the table, without a chart."
    ]
    assert "There were more slots than the 4 that are drawn." in charts.notes(story)
    assert charts.notes_of_rules(day.story()) == []


def test_that_scrapes_are_drawn_as_one_is_said_once_and_only_where_they_are() -> None:
    def said(many: int) -> int:
        story = tell(chained([scrape(5.0 * n, 1.0) for n in range(many)]), WHOLE)
        told = [*charts.notes(story), *(chart.text for chart in charts.of(story))]
        return sum("drawn as one" in one for one in told)

    assert (said(90), said(2 * gathering.MOST_POINTS)) == (0, 1)


def test_a_drop_of_the_rate_is_kept_however_long_the_series() -> None:
    many = 6 * gathering.MOST_POINTS
    rows = [scrape(5.0 * n, 0.0 if n == many // 2 else 100.0) for n in range(many)]
    story = tell(chained(rows), WHOLE)
    rate = charts.of(story)[1]
    assert rate.text.startswith("app-blue: 0 to 100 requests/s")
    (series,) = story.series
    assert min(value for _, value in charts._with_gaps(series.points, RATE) if value is not None) == 0


def test_in_a_period_of_days_a_time_is_said_with_its_day_and_the_first_of_equals_is_meant() -> None:
    rows = [scrape(3600.0 * n, 20.0 if n in {30, 50} else 10.0) for n in range(100)]
    rate = charts.of(tell(chained(rows), WHOLE))[1].text
    assert rate == "app-blue: 10 to 20 requests/s, highest first at 2026-11-25 21:00:00."
