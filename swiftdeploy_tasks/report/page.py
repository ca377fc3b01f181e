"""The report as a page: the same story as the Markdown report, for people who want to look.

Stands apart from `charts`, which decides what is drawn. It escapes nothing itself, since `paper` lets
nothing through unescaped, and it refuses to draw without the story: it reads no record.
"""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.report import charts, paper
from swiftdeploy_tasks.report.charts import Chart
from swiftdeploy_tasks.report.paper import Drawing
from swiftdeploy_tasks.report.story import THREAT, Story

MOST_VERDICTS = 2000


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
        "charts": [_placed(chart) for chart in charts.of(story)],
        "rules": [_placed(chart) for chart in charts.of_rules(story)],
        "rollovers": drawn,
        "told_in_full": _told_in_full(story),
    }
    return paper.fill("report.html.j2", values, folders=folders)


def _placed(chart: Chart) -> dict[str, object]:
    return {
        "title": chart.title,
        "text": chart.text,
        "wide": Drawing(chart.wide),
        "narrow": Drawing(chart.narrow) if chart.narrow else None,
    }


def _told_in_full(story: Story) -> set[int]:
    """The newest changes, by seq, whose every check is listed: as many as a page of some MiB can hold."""
    room, told = MOST_VERDICTS, set()
    for change in reversed(tuple(story.changes)):
        room -= sum(1 + len(verdict.checks) for verdict in change.verdicts)
        if room < 0:
            break
        told.add(change.seq)
    return told
