"""The charts of a report join only what belongs together, and say in words what they draw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swiftdeploy_tasks.report import builder, change_details, charts, marks, series
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.period import Period
from tests.report import day
from tests.report.records import BEGAN, WHOLE, chained, finished, scrape, started, verdict


@pytest.fixture(scope="module")
def report() -> AuditReport:
    return day.report()


def test_a_release_that_is_not_confirmed_gives_its_share_back(report: AuditReport) -> None:
    sick = next(change for change in report.changes if change.rollback)
    assert sick.rollback
    (_, before), *_, (at, after) = charts._settings(sick)
    assert (at, after) == (sick.rollback.at, before)
    stayed = next(change for change in report.changes if change.verb == "promote" and change.is_confirmed)
    assert charts._settings(stayed)[-1][1] == {"green": 100}


def test_the_shares_of_a_rollover_follow_its_steps(report: AuditReport) -> None:
    promote = next(change for change in report.changes if change.verb == "promote" and change.is_confirmed)
    drawn = charts.of_rollouts(report)[promote.seq]
    assert drawn.text == "blue 90 %, green 10 % → blue 50 %, green 50 % → green 100 %"
    assert drawn.wide.startswith("<svg")


def test_the_end_of_a_chaos_is_not_counted_as_another_one(report: AuditReport) -> None:
    assert [event.kind for event in report.events].count("chaos_gone") == 1
    happened = charts.of_period(report)[0]
    assert "chaos 1," in happened.text


def test_a_rule_that_said_no_comes_first_and_says_how_often(report: AuditReport) -> None:
    first = charts.of_rules(report)[0]
    assert first.title == "max_error_rate"
    assert "failed twice" in first.text
    assert "limit 0.01" in first.text


def test_a_rule_is_counted_alike_beside_its_chart_and_in_the_table() -> None:
    seen = day.check("max_error_rate", 0.5, 0.01, passed=False)
    asked = {"domain": "canary", "allow": False, "checks": [seen]}
    rows = [row | ({"verdicts": [asked]} if row["event"] == "scrape" else {}) for row in day.contents()]
    report = day.report(rows)
    rule = next(one for one in report.rules if one.last.rule == "max_error_rate")
    text = next(one.text for one in charts.of_rules(report) if one.title == "max_error_rate")
    assert rule.failed > 100
    assert f"checked {rule.checked} times, failed {rule.failed} times; " in text


def test_a_story_without_scrapes_and_changes_has_no_empty_charts() -> None:
    assert charts.of_period(day.report([])) == []
    bare = replace(day.report(), series=())
    assert [chart.title for chart in charts.of_period(bare)] == ["What happened"]


EXTREMES = {"9999-12-31T23:59:59.999Z": 253402300799.999, "0001-01-01T00:00:00Z": -62135596800.0}


def changes(many: int, apart: float) -> list[dict[str, Any]]:
    return [
        row
        for n in range(many)
        for row in (
            started("deploy", f"r{n}", after=apart * n),
            finished("deploy", f"r{n}", after=apart * n + 1),
        )
    ]


def test_an_automatic_rollback_does_not_count_as_the_verb_rollback(report: AuditReport) -> None:
    assert "rollback 1, rolled back 1," in charts.of_period(report)[0].text
    assert report.summary.tally("rollback").runs == report.summary.automatic_rollbacks == 1


def test_traffic_to_no_slot_differs_from_shares_that_are_not_on_record() -> None:
    step = {"event": "step", "run": "r1", "action": "route", "target": "nginx"}
    done = {"event": "step", "run": "r1", "outcome": "done"}
    rows = [started("deploy", "r1"), step, done, step | {"weights": {}}, done]
    rows += [step | {"weights": {"blue": 100}}, done, finished("deploy", "r1")]
    report = build_report(chained(rows), WHOLE)
    (change,) = report.changes
    assert [one.weights for one in change.steps] == [None, (), (("blue", 100),)]
    assert charts.of_rollouts(report)[1].text == "no slot → blue 100 %"


def test_what_rules_said_no_to_in_a_dashboard_is_drawn_too() -> None:
    seen = day.check("max_error_rate", 0.5, 0.01, passed=False)
    asked = {"domain": "canary", "allow": False, "checks": [seen]}
    rows = [scrape(5.0 * n, 1.0) | {"verdicts": [asked]} for n in range(4)]
    (one,) = charts.of_rules(build_report(chained(rows), WHOLE))
    assert one.text.startswith("canary: checked 4 times, failed 4 times; last")
    rows = [
        row | {"verdicts": [{**asked, "allow": True, "checks": [{**seen, "passed": True}]}]} for row in rows
    ]
    (one,) = charts.of_rules(build_report(chained(rows), WHOLE))
    assert one.text.startswith("canary: checked 4 times, failed never; last")


def test_a_series_is_described_with_its_lowest_and_highest_figure_and_the_limit(report: AuditReport) -> None:
    errors = next(chart for chart in charts.of_period(report) if chart.title.startswith("Errors"))
    assert errors.text == (
        "app-blue: always 0 %; app-green: 0 to 31 %, highest at 2026-11-24 15:10:05, last 0; limit 1 %."
    )


@pytest.mark.parametrize("time", EXTREMES.values(), ids=EXTREMES)
def test_a_time_at_the_end_of_the_calendar_stops_no_chart(time: float) -> None:
    rows = day.contents()
    rows[-1]["after"] = time - BEGAN
    assert len(charts.of_period(day.report(rows))) == 5


@pytest.mark.parametrize("extreme", [1e308, -1e308, -1.0], ids=str)
def test_a_figure_that_cannot_be_is_not_drawn(extreme: float) -> None:
    rows = [scrape(5 * n, 10.0, 0.5) for n in range(6)]
    rows[3]["slots"]["blue"]["window"] |= {"rate": extreme}
    rows[4]["slots"]["blue"]["window"] |= {"error_rate": 1.5, "p99_ms": extreme}
    rate, errors, p99 = (chart.text for chart in charts.of_period(build_report(chained(rows), WHOLE))[1:4])
    assert rate == "app-blue: always 10 requests/s."
    assert errors == "app-blue: always 50 %."
    assert p99 == "app-blue: always 4 ms."


def test_what_happened_long_ago_is_counted_and_drawn_also_where_its_rows_are_not_kept() -> None:
    many = 3 * builder.MOST_CHANGES
    report = build_report(chained(changes(many, 60.0)), WHOLE)
    assert f": deploy {many}." in charts.of_period(report)[0].text
    assert report.summary.tally("deploy").runs == many
    assert len(report.marks) <= marks.MOST_MARKS
    assert report.marks[0].at == BEGAN


def test_a_change_that_began_before_the_period_is_drawn_at_its_start() -> None:
    rows = [started("deploy", "r1", after=0), scrape(50, 1.0), finished("deploy", "r1", after=60)]
    report = build_report(chained(rows), WHOLE, Period(BEGAN + 40, BEGAN + 100))
    assert report.drawn == Period(BEGAN + 50, BEGAN + 60)
    (mark,) = charts._marks_in(report, report.drawn)
    assert (mark.at, mark.kind) == (BEGAN + 50, "deploy")


def test_a_later_audit_does_not_widen_the_charts() -> None:
    rows = [*(scrape(5.0 * n, 1.0) for n in range(100)), started("audit", "a1", after=90_000)]
    assert build_report(chained(rows), WHOLE).drawn == Period(BEGAN, BEGAN + 495)


STEP: dict[str, Any] = {"event": "step", "run": "r1", "action": "route", "target": "nginx"}


def routed() -> list[dict[str, Any]]:
    return [
        started("deploy", "r1", after=0),
        STEP | {"weights": {"blue": 100}, "after": 1},
        STEP | {"outcome": "done", "seconds": 0.5, "after": 1.5},
        finished("deploy", "r1", after=2),
    ]


def shares(report: AuditReport, slot: str = "blue") -> list[tuple[float, float]]:
    found = [one.points for one in report.series if (one.slot, one.measured) == (slot, "shares")]
    return [(point.at - BEGAN, point.last) for points in found for point in points]


def test_a_rollout_that_is_held_keeps_its_share_and_has_not_failed() -> None:
    share = {"event": "step", "run": "r2", "action": "route", "target": "nginx", "reason": "next"}
    done = {"event": "step", "run": "r2", "outcome": "done", "seconds": 0.5}
    error = {"kind": "Held", "message": "version 1.1.0 is undecided at 50 %"}
    rows = [
        *routed(),
        started("deploy", "r2"),
        share | {"weights": {"blue": 100}},
        done,
        share | {"weights": {"blue": 50, "green": 50}},
        done,
        finished("deploy", "r2", "held", 10, error=error),
    ]
    report = build_report(chained(rows), WHOLE)
    change = report.changes.shown[-1]
    assert (shares(report)[-1][1], charts._settings(change)[-1][1]) == (50, {"blue": 50, "green": 50})
    assert (change.is_confirmed, report.summary.failed) == (False, 0)
    assert change_details.outcome(change).tone == "warn"
    assert [(event.kind, event.what) for event in report.events][-1] == (
        "held",
        f"deploy held: {error['message']}",
    )


def test_a_slot_that_was_lost_has_no_share_from_the_scrape_on_that_found_it_gone() -> None:
    gone = {"slots": {"blue": None, "green": None}}
    rows = [
        *routed(),
        *(scrape(10.0 + n, 5.0) for n in range(3)),
        *(scrape(20.0 + n, 5.0) | gone for n in range(3)),
        scrape(30, 5.0),
    ]
    assert shares(build_report(chained(rows), WHOLE)) == [(1.5, 100), (20, 0), (30, 100)]


def test_a_scrape_from_before_a_change_that_is_recorded_after_it_changes_no_share() -> None:
    *before, end = routed()
    rows = [*before, scrape(1.6, 5.0, weight=0), end, scrape(9, 5.0, weight=100)]
    report = build_report(chained(rows), WHOLE)
    assert shares(report) == [(1.5, 100)]


def test_the_shares_from_before_the_period_hold_at_its_start() -> None:
    rows = [*routed(), scrape(50, 5.0)]
    report = build_report(chained(rows), WHOLE, Period(BEGAN + 40, BEGAN + 100))
    assert shares(report) == [(40, 100)]


def test_that_there_are_more_rules_than_charts_is_said() -> None:
    checks = [day.check(f"rule_{n}", 1.0, 2.0, passed=True) for n in range(charts.MOST_RULES + 3)]
    report = build_report(chained([started("deploy", "r1"), verdict("r1", allow=True, checks=checks)]), WHOLE)
    assert charts.rules_note(report) == "3 more rules observe figures; the table lists them."
    assert charts.rules_note(day.report()) == ""


def test_only_some_slots_are_kept_whatever_their_names() -> None:
    row = scrape(5, 1.0)
    row["slots"] = {f"slot{n}": row["slots"]["blue"] for n in range(series.MOST_SLOTS + 3)}
    found = build_report(chained([row]), WHOLE).series
    assert len({one.slot for one in found}) == series.MOST_SLOTS
