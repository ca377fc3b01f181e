"""The status on a terminal, or in a log.

It fits 80 columns, and says in words what it shows in colour.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.report import evidence_tables, formatting, sections
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.session import command_name
from swiftdeploy_tasks.session import console as screen
from swiftdeploy_tasks.session.console import TONES, plain
from swiftdeploy_tasks.status.compliance import Standing, Unanswered
from swiftdeploy_tasks.status.picture import Picture
from swiftdeploy_tasks.status.screen import console_for, is_unicode
from swiftdeploy_tasks.system import signals

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, RenderableType
    from rich.table import Table
    from rich.text import Text

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"
_MOST_DRIFT = 4
_TONES = {"good": "pass", "bad": "fail", "warn": "warn"}


def show(picture: Picture, stream: TextIO | None) -> None:
    """Print the picture once, without escape codes and blanks at the end of lines, on a terminal too."""
    if stream is None:
        return
    console = console_for(stream, is_plain=True)
    with screen.bearing(stream), console.capture() as drawn:
        console.print(render(picture, unicode=is_unicode(console)))
    for line in drawn.get().splitlines():
        screen.put(stream, line.rstrip())


def live(picture: Picture, look: Callable[[], Picture], stream: TextIO, *, every: float) -> None:
    """Draw the picture every `every` seconds until Ctrl-C; the last one stays on the terminal.

    A terminal that is closed ends it too.
    """
    from rich.live import Live

    console = console_for(stream)
    unicode, due = is_unicode(console), time.monotonic()
    try:
        with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as shown:
            while stream.isatty() and not signals.is_asked():
                hint = f"every {every:g} s, Ctrl-C ends it"
                shown.update(_fitted(console, picture, unicode=unicode, hint=hint), refresh=True)
                due = max(due + every, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
                picture = look()
        console.print(render(picture, unicode=unicode))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        screen.forsake(stream)


def render(picture: Picture, *, unicode: bool = True, hint: str = "") -> RenderableType:
    """Return the picture as something that rich prints, `hint` at its end."""
    from rich.console import Group

    if not picture.is_deployed:
        nothing = command_name.named(
            f"nothing is deployed on the {picture.engine} engine; next: invoke deploy"
        )
        return Group(_line(nothing), *_problems(picture), _hint(picture, hint))
    return Group(
        _hint(picture, hint),
        _head(picture),
        *_problems(picture),
        *_slots(picture, unicode=unicode),
        _around(picture),
        _rules(picture),
    )


def _fitted(console: Console, picture: Picture, *, unicode: bool, hint: str) -> RenderableType:
    """The picture with as many of its events as there is room for, the newest at least."""
    whole = render(picture, unicode=unicode, hint=hint)
    excess = len(console.render_lines(whole, pad=False)) - console.height
    if excess <= 0 or not picture.events:
        return whole
    events = picture.events[min(excess, len(picture.events) - 1) :]
    return render(replace(picture, events=events), unicode=unicode, hint=hint)


def _head(picture: Picture) -> Text:
    from rich.text import Text

    release = picture.serving.release if picture.serving else None
    text = Text()
    if release:
        text.append(plain(f"version {release.version} ({release.mode})"), style="bold")
        text.append(f" serves at {picture.url}, engine {picture.engine}")
        if picture.since:
            text.append(f"\nsince {picture.since[:19]}Z, {_age(picture.since, picture.time)} ago")
    else:
        text.append(f"no release serves at {picture.url}, engine {picture.engine}", style=TONES["fail"])
    if picture.at_work:
        text.append(f"\nrunning now: {plain(picture.at_work)}", style=TONES["warn"])
    if picture.proxy:
        text.append(f"\nnginx {plain(picture.proxy)}", style=TONES["fail"])
    return text


def _slots(picture: Picture, *, unicode: bool) -> Iterator[RenderableType]:
    what = _grid("left", "left", "left", "right", "left")
    what.add_row(*(_line(word, "head") for word in ("slot", "release", "version", "%", "health")))
    how = _grid("left", "right", "right", "right", "right", "right", "right", "left")
    words = ("slot", "req/s", "errors", "p50", "p95", "p99 ms", "over", "req/s, last looks")
    how.add_row(*(_line(word, "head") for word in words))
    for slot, there in picture.slots.items():
        what.add_row(slot, *(_standing(there) if there else _nobody(picture.traffic.of(slot))))
        if there:
            how.add_row(slot, *_figures(there), _graph(picture.rates.get(slot, ()), unicode=unicode))
    yield what
    for slot, there in picture.slots.items():
        if there and (there.trouble or there.problem):
            yield _line(f"{slot}: {there.trouble or there.problem}", "fail")
    yield how


def _standing(there: Sample) -> Iterator[RenderableType]:
    release = there.release
    yield plain(release.id) if release else "unknown"
    yield plain(f"{release.version} {release.mode}") if release else "-"
    yield str(there.weight)
    sick = _line("SICK", "fail") if there.weight else _line("not healthy", "warn")
    health = _line("healthy", "pass") if there.healthy else sick
    if there.chaos not in {None, "none"}:
        health.append(f", chaos: {there.chaos}", style=TONES["warn"])
    yield health


def _nobody(share: int) -> Iterator[RenderableType]:
    if not share:
        yield _line("empty", "dim")
        return
    yield from (_line("GONE", "fail"), "", str(share))


def _figures(there: Sample) -> Iterator[str]:
    window = there.window
    yield _number(window.rate if window else None)
    yield f"{window.error_rate:.1%}" if window and window.error_rate is not None else "-"
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        value = getattr(window, name) if window else None
        beyond = window.beyond_ms if window else None
        yield f">{beyond:g}" if beyond and value is None else _number(value)
    yield f"{window.seconds:.0f} s" if window else "-"


def _rules(picture: Picture) -> RenderableType:
    table = _grid("left", "left", "left")
    for standing in sorted(picture.compliance, key=_length):
        for index, (word, tone, text) in enumerate(_of_domain(standing)):
            table.add_row(standing.domain if not index else "", _line(word, tone), _line(text))
    return table


def _length(standing: Standing) -> int:
    """The longest domain comes last: it is what a low terminal cuts."""
    return len(standing.rules if isinstance(standing, Unanswered) else standing.checks)


def _of_domain(standing: Standing) -> Iterator[tuple[str, str, str]]:
    """What is known of a domain: what failed, each rule by itself, then what passed in one paragraph."""
    if isinstance(standing, Unanswered):
        yield "unknown", "warn", f"{', '.join(standing.rules)}: {standing.reason}".removeprefix(": ")
        return
    for check in standing.failed:
        yield "FAIL", "fail", formatting.rounded(check.sentence)
    passed = [_figure(check) for check in standing.checks if check.passed]
    if passed:
        yield "pass", "pass", ", ".join(passed)


def _figure(check: Check) -> str:
    """A rule by name, and what was observed against the limit where both are figures."""
    if _is_figure(check.observed) and _is_figure(check.limit):
        return f"{check.rule} {check.observed:g} (limit {check.limit:g})"
    return check.rule


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _around(picture: Picture) -> RenderableType:
    table = _grid("left", "left")
    for line in _host(picture):
        table.add_row("host", line)
    shown = picture.causes[:_MOST_DRIFT] or picture.drift[:1]
    for index, deed in enumerate(shown):
        table.add_row("" if index else "drift", _line(str(deed), "warn"))
    if more := len(picture.drift) - len(shown):
        steps = "step" if more == 1 else "steps"
        table.add_row("", _line(command_name.named(f"and {more} more {steps}: invoke plan"), "warn"))
    if picture.drift_unknown:
        table.add_row("drift", f"not known: {picture.drift_unknown}")
    elif not picture.drift:
        table.add_row("drift", "none: what runs matches manifest.yaml")
    for index, line in enumerate(evidence_tables.in_words(picture.evidence) if picture.evidence else ()):
        table.add_row("" if index else "evidence", _line(line))
    for index, event in enumerate(picture.events):
        when = datetime.fromtimestamp(event.at, UTC)
        day = "" if picture.time.startswith(f"{when:%F}") else f"{when:%F} "
        table.add_row(
            "" if index else "events",
            _line(
                f"{day}{when:%T}  {formatting.rounded(event.what)}", _TONES.get(sections.tone(event.kind), "")
            ),
        )
    return table


def _host(picture: Picture) -> Iterator[str]:
    host = picture.host
    if not host:
        return
    free = [disk["free_gb"] for disk in host.get("disks", ()) if "free_gb" in disk]
    disk = f"{min(free):g} GB free" if free else "disk not known"
    load = f"load {host['load_per_core']:g} per core" if "load_per_core" in host else "load not known"
    yield f"{disk}, {load} over {host['load_minutes']} min, memory {host['memory_used_percent']:g} % used"


def _problems(picture: Picture) -> Iterator[Text]:
    for problem in picture.problems:
        yield _line(command_name.named(problem), "fail")


def _hint(picture: Picture, hint: str) -> Text:
    return _line(", ".join(filter(None, (picture.time, hint))), "dim")


def _grid(*justify: JustifyMethod) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for side in justify:
        table.add_column(justify=side)
    return table


def _line(text: str, tone: str = "") -> Text:
    from rich.text import Text

    return Text(plain(text), style=TONES[tone])


def _graph(rates: Sequence[float | None], *, unicode: bool) -> str:
    """One column a look, as high as its rate beside the others', a blank where there was no window."""
    bars = _BARS if unicode else _PLAIN_BARS
    known = [rate for rate in rates if rate is not None]
    if len(known) < 2:
        return ""
    most = max(known)
    return "".join(
        " " if rate is None else bars[round(rate / most * (len(bars) - 1)) if most else 0] for rate in rates
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _age(since: str, now: str) -> str:
    """How long ago, in the largest two units."""
    seconds = int(max(0.0, (_at(now) - _at(since)).total_seconds()))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
