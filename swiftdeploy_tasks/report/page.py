"""The report as an HTML page, from the same story as the Markdown report."""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.report import charts, paper, tables
from swiftdeploy_tasks.report.charts import Chart
from swiftdeploy_tasks.report.paper import Drawing
from swiftdeploy_tasks.report.story import THREAT, Story
from swiftdeploy_tasks.report.tables import Told

MOST_SIGNS = 1_000_000


def page(story: Story, *, project: str, made: float, folders: tuple[Path, ...]) -> str:
    """Return the whole page as text; `made` is the time that it names, in unix seconds.

    Raises UsageError where the charting library is missing.
    """
    drawn = {seq: _placed(chart) for seq, chart in charts.of_rollovers(story).items()}
    values = {
        "story": story,
        "project": project,
        "made": made,
        "threat": THREAT,
        "notes": charts.notes(story),
        "rule_notes": charts.notes_of_rules(story),
        "heading": tables.heading(story),
        "summary": tables.summary(story),
        "timeline": tables.timeline(story),
        "violations": tables.violations(story),
        "rules": tables.rules(story),
        "charts": [_placed(chart) for chart in charts.of(story)],
        "checked": [_placed(chart) for chart in charts.of_rules(story)],
        "rollovers": drawn,
        "changes": tables.changes(story),
        "told": _told(story),
    }
    return paper.fill("report.html.j2", values, folders=folders)


def _placed(chart: Chart) -> dict[str, object]:
    return {
        "title": chart.title,
        "text": chart.text,
        "wide": Drawing(chart.wide),
        "narrow": Drawing(chart.narrow) if chart.narrow else None,
    }


def _told(story: Story) -> dict[int, Told]:
    """What is told of the changes, by seq, the newest first: as many as a page of some MB can hold."""
    room, all_told = MOST_SIGNS, {}
    for change in reversed(tuple(story.changes)):
        told = tables.told(change)
        if told.signs <= room:
            room -= told.signs
            all_told[change.seq] = told
    return all_told
