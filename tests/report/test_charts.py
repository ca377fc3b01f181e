"""The charts of a story join only what belongs together, and say in words what they draw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swiftdeploy_tasks.report import charts
from swiftdeploy_tasks.report.story import Series, Story
from tests.report import day
from tests.report.records import BEGAN


@pytest.fixture(scope="module")
def story() -> Story:
    return day.story()


def test_no_line_joins_two_releases_that_stood_in_one_slot(story: Story) -> None:
    series = next(one for one in story.series if one.slot == "blue")
    first, second, *_ = series.points
    points = (first, replace(second, release="another", gap=False))
    values = list(charts._with_gaps(points, lambda point: point.rate))
    between = [value for at, value in values if first.at < at <= second.at]
    assert between == [None, second.rate]


def test_where_nobody_looked_there_is_a_gap(story: Story) -> None:
    green = next(one for one in story.series if one.slot == "green")
    values = list(charts._with_gaps(green.points, lambda point: point.rate))
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
    assert "app-green: 0 to 31 %, highest at 15:11:35" in errors.text
    assert "limit 1 %" in errors.text


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
    assert f"asked {rule.made} times, said no {rule.failed} times, " in text
    kept = [verdict for change in story.changes for verdict in change.verdicts if verdict.domain == "canary"]
    assert f", {len(kept) + 1} of these drawn;" in text


def test_a_story_without_scrapes_and_changes_has_no_empty_charts() -> None:
    assert charts.of(day.story([])) == []
    bare = replace(day.story(), series=(Series("blue", (), 0),))
    titles = [chart.title for chart in charts.of(bare)]
    assert titles == ["What happened", "Share of each slot, in % of requests"]


EXTREMES = {"9999-12-31T23:59:59.999Z": 253402300799.999, "0001-01-01T00:00:00Z": -62135596800.0}


@pytest.mark.parametrize("time", EXTREMES.values(), ids=EXTREMES)
def test_a_time_at_the_end_of_the_calendar_is_drawn_at_the_edge(time: float) -> None:
    rows = day.contents()
    rows[-1]["after"] = time - BEGAN
    story = day.story(rows)
    assert len(charts.of(story)) == 5


@pytest.mark.parametrize("extreme", [1e308, -1e308], ids=str)
def test_a_figure_beyond_all_axes_is_drawn_at_the_edge_and_that_is_said(extreme: float) -> None:
    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {"after": value["after"]} if "after" in value else {}
            return {key: changed(one) for key, one in value.items()} | kept
        if isinstance(value, list):
            return [changed(one) for one in value]
        return extreme if type(value) in (int, float) else value

    story = day.story([changed(row) for row in day.contents()])
    drawn = [*charts.of(story), *charts.of_rules(story)]
    assert len(drawn) == 8
    said = [chart for chart in drawn if "figures beyond 1e+15 are drawn there" in chart.text]
    assert len(said) == 6
