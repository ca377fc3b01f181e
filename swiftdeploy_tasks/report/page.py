"""The report as a page: the same story as the Markdown report, for people who want to look.

Stands apart from `pictures`, which decides what is drawn. It escapes nothing itself, since `paper` lets
nothing through unescaped, and it refuses to draw without the story: it reads no record.
"""

from __future__ import annotations

from pathlib import Path

from swiftdeploy_tasks.report import paper, pictures
from swiftdeploy_tasks.report.paper import Drawing
from swiftdeploy_tasks.report.pictures import Picture
from swiftdeploy_tasks.report.story import THREAT, Story

MOST_VERDICTS = 2000


def page(story: Story, *, project: str, made: float, folders: tuple[Path, ...]) -> str:
    """Return the whole page as text; `made` is the time that it names, in unix seconds.

    Raises UsageError where the charting library is missing.
    """
    drawn = {seq: _placed(picture) for seq, picture in pictures.of_rollovers(story).items()}
    values = {
        "story": story,
        "project": project,
        "made": made,
        "threat": THREAT,
        "pictures": [_placed(picture) for picture in pictures.of(story)],
        "rules": [_placed(picture) for picture in pictures.of_rules(story)],
        "rollovers": drawn,
        "told_in_full": _told_in_full(story),
    }
    return paper.fill("report.html.j2", values, folders=folders)


def _placed(picture: Picture) -> dict[str, object]:
    return {
        "title": picture.title,
        "text": picture.text,
        "wide": Drawing(picture.wide),
        "narrow": Drawing(picture.narrow) if picture.narrow else None,
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
