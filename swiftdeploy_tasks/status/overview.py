"""The status verb: looks at the project once, or again and again until it is ended.

Each look makes a picture and records its scrapes. A part that is down does not end it.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable, ManifestError, SwiftDeployError, UsageError
from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import SLOTS, Slot
from swiftdeploy_tasks.model.state import Placement, State
from swiftdeploy_tasks.proxy import root_files, templates
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.rollout import gap, observation, policies, preview, release_store, sampling
from swiftdeploy_tasks.rollout.noting import Drift
from swiftdeploy_tasks.rollout.preview import Prospect
from swiftdeploy_tasks.rollout.project import engine_of, forget_manifest, read_manifest
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.rollout.scrape_records import record_chaos, record_samples, scrapes_of
from swiftdeploy_tasks.session import lock
from swiftdeploy_tasks.session.events import Drifted
from swiftdeploy_tasks.session.run import Run
from swiftdeploy_tasks.status import compliance, screen, terminal, web_page
from swiftdeploy_tasks.status.compliance import Unanswered
from swiftdeploy_tasks.status.picture import Picture, concern
from swiftdeploy_tasks.status.recent import Recent, outcomes
from swiftdeploy_tasks.system import files, host, redaction

SECONDS = 30.0
# As many columns as there is room for beside the figures.
GRAPHED = 30
T = TypeVar("T")


@dataclass
class Observer:
    """Looks again and again; remembers what a later look is compared with."""

    run: Run
    memory: sampling.Memory
    recent: Recent
    rates: dict[Slot, deque[float | None]] = field(
        default_factory=lambda: {slot: deque(maxlen=GRAPHED) for slot in SLOTS}
    )
    problems: list[str] = field(default_factory=list)
    unusable: ManifestError | None = None
    at_work: str = ""
    engine: str = ""

    def look_again(self) -> Picture:
        """Return the picture of this moment; what makes it impossible to look is in the picture."""
        try:
            return self.look()
        except SwiftDeployError as error:
            unseen = Picture(_now(), "", self.engine, is_deployed=True, problems=(error.message,))
            return replace(unseen, drift_unknown="the project could not be observed")

    def look(self) -> Picture:
        """Return the picture of this moment, recorded; raises what makes it impossible to look."""
        self.problems, self.unusable = [], None
        self.at_work = lock.at_work(self.run.settings.state)
        name = registry.recorded(self.run.settings)
        asked = self._manifest(needed=not name)
        engine = registry.make(name, self.run.settings) if name else engine_of(self.run)
        self.engine = engine.name
        self.run.report(engine=engine.name)
        seen = observation.look(engine, self.run.settings)
        if not (name or seen.proxy or seen.slots):
            return Picture(_now(), asked.name, engine.name)
        return self._deployed(asked, engine, seen)

    def _manifest(self, *, needed: bool) -> Manifest:
        """Return the manifest; the applied one, with a word about it, where it cannot be used."""
        forget_manifest(self.run)
        templates.forget()
        try:
            return read_manifest(self.run)
        except ManifestError as error:
            places = self.run.settings
            if needed or not places.applied.is_file():
                raise
            self.problems.append(f"manifest.yaml cannot be used: {error.message}")
            self.unusable = error
            return loading.load(places.applied, schema=places.schema)

    def _applied(self) -> Manifest | None:
        """Return the manifest that was deployed last, None where there is none that can be read."""
        places = self.run.settings
        try:
            there = places.applied.stat()
            return _loaded(places.applied, places.schema, (there.st_mtime_ns, there.st_size, there.st_ino))
        except (OSError, ManifestError):
            return None

    def _deployed(self, asked: Manifest, engine: Engine, seen: State) -> Picture:
        in_force = self._applied() or asked
        look = sampling.Look(in_force, engine, seen, seconds=self._window(asked))
        samples = {
            slot: _masked(seen.slots.get(slot), sample)
            for slot, sample in sampling.take(look, self.memory).items()
        }
        prospect, unknown = self._prospect(seen)
        self.problems += prospect.notes if prospect else ()
        left = None if self.at_work else gap.found(self.run.settings, seen)
        self.problems += [str(left)] if left else ()
        picture = Picture(
            time=_now(),
            project=asked.name,
            engine=engine.name,
            is_deployed=True,
            url=f"http://127.0.0.1:{in_force.nginx.port}/",
            at_work=self.at_work,
            confirmed=release_store.present(self.run.settings.releases),
            traffic=seen.traffic,
            proxy=_fault(seen),
            slots=samples,
            rates=self._graphed(samples),
            host=self._tried(lambda: host.measure(engine.facts(asked).disks), {}),
            drift=prospect.drift if prospect else (),
            drift_unknown=unknown,
            problems=tuple(self.problems),
            can_go_back=release_store.can_go_back(self.run.settings.releases),
            gap=left,
        )
        serving = picture.serving
        standings = compliance.judge(self.run, asked, engine, serving)
        picture = replace(picture, since=self._since(serving), compliance=standings)
        self._record(picture, prospect.found if prospect else None)
        picture = replace(picture, events=self.recent.events())
        return replace(picture, evidence=self.recent.evidence if picture.at_work else None)

    def _window(self, asked: Manifest) -> float:
        """Return the length that the canary policy judges by, in seconds."""
        try:
            return float(policies.bundle(self.run.settings, asked).limits("canary")[policies.WINDOW])
        except (GateUnavailable, KeyError, TypeError, ValueError):
            return SECONDS

    def _since(self, serving: Sample | None) -> str | None:
        if serving is None:
            return None
        kept = self.run.settings.releases
        if serving.release and serving.release.id == release_store.present(kept):
            return release_store.serving_since(kept)
        return _rfc3339(serving.since) if serving.since else None

    def _graphed(self, samples: dict[Slot, Sample | None]) -> dict[Slot, tuple[float | None, ...]]:
        for slot, sample in samples.items():
            window = sample.window if sample else None
            self.rates[slot].append((window.rate or 0.0) if window else None)
        return {slot: tuple(rates) for slot, rates in self.rates.items()}

    def _prospect(self, seen: State) -> tuple[Prospect | None, str]:
        """Return what deploy would do about what was seen, else why that is not known."""
        if self.unusable:
            return None, "manifest.yaml cannot be used"
        # What a verb is in the middle of is no drift.
        self.at_work = self.at_work or lock.at_work(self.run.settings.state)
        if self.at_work:
            return None, "another verb is running"
        prospect = self._tried(lambda: preview.prospect(self.run, seen), None)
        return prospect, "" if prospect else "the plan cannot be computed"

    def _tried(self, ask: Callable[[], T], otherwise: T) -> T:
        try:
            return ask()
        except SwiftDeployError as error:
            self.problems.append(error.message)
            return otherwise

    def _record(self, picture: Picture, found: Iterable[Drift] | None) -> None:
        """Append the scrape; verdicts and drift with it only where they are not what was recorded last."""
        self.recent.catch_up()
        told = self.recent.told
        verdicts = [
            standing.document()
            for standing in picture.compliance
            if not (isinstance(standing, Unanswered) and (standing.early or picture.at_work))
        ]
        changed = [one for one in verdicts if told.get(one["domain"]) != outcomes(one)]
        more: dict[str, Any] = {"verdicts": changed} if changed else {}
        before = record_fields.items(told.get("drift"))
        drift = before if found is None else [one.document() for one in found]
        if drift != before:
            more["drift"] = drift
            self._note_drift("found", [one for one in drift if one not in before])
            self._note_drift("gone", [one for one in before if one not in drift])
        for slot, sample in picture.slots.items():
            self._record_chaos(slot, sample)
        record_samples(self.run, picture.slots, host=dict(picture.host), **more)

    def _note_drift(self, outcome: str, drift: Iterable[object]) -> None:
        for one in map(record_fields.mapping, drift):
            told = {name: one[name] for name in ("target", "what", "expected", "found") if name in one}
            self.run.emit(Drifted(outcome=outcome, difference=told))

    def _record_chaos(self, slot: Slot, sample: Sample | None) -> None:
        if sample is None or sample.scrape is None or sample.release is None:
            return
        before, now = (None, *self.memory.of(slot, sample.release))[-2:]
        if now:
            record_chaos(self.run, slot, sample.release, before, now)


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, schema: Path, signature: tuple[int, ...]) -> Manifest:
    """Return the manifest; another `signature` reads the file again."""
    return loading.load(path, schema=schema)


def observer_of(run: Run) -> Observer:
    """Return the observer of this run, with the recorded scrapes to compare with."""
    memory = sampling.Memory(lambda slot, release: scrapes_of(run, slot, release, seconds=SECONDS))
    return Observer(run, memory, Recent(run))


def show(run: Run, *, once: bool, interval: int, exit_code: bool, html: str) -> None:
    """Show the picture, on a terminal until Ctrl-C; with `exit_code` raises the first problem.

    `html` names a file into which it is written as a page, once.
    """
    if interval < 1:
        raise UsageError(f"--interval takes whole seconds from 1, not {interval}", "invoke status")
    page = Path(html).expanduser().absolute()
    if html and not _is_page(page):
        raise UsageError(
            f"--html takes a file name that ends in .html, not {html}", "invoke status --html status.html"
        )
    observer = observer_of(run)
    if not (once or exit_code or html or run.invocation.json) and screen.can_move(run.screen.stream):
        with suppress(KeyboardInterrupt):
            terminal.live(observer.look(), observer.look_again, run.screen.stream, every=interval)
        return
    picture = observer.look()
    run.report(**picture.document())
    terminal.show(picture, run.screen.stream)
    if html:
        _write_page(run, picture, page)
    if problem := (concern(picture) if exit_code else None) or observer.unusable:
        raise problem


def _masked(there: Placement | None, sample: Sample | None) -> Sample | None:
    """Return the sample with the slot's secrets masked: its error may quote the app's page."""
    if there is None or sample is None or sample.release is None or not sample.problem:
        return sample
    has = there.environment
    secrets = [has[name] for name, _ in sample.release.secrets if name in has]
    return replace(sample, problem=redaction.masked(sample.problem, secrets))


def _is_page(path: Path) -> bool:
    """Return whether a page may be put there: in no other file's place."""
    return path.suffix == ".html" and not path.is_symlink() and (path.is_file() or not path.exists())


def _write_page(run: Run, picture: Picture, path: Path) -> None:
    try:
        page = web_page.page(picture, folders=run.settings.template_folders)
        files.replace(path, root_files.marked(path, page))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", f"ls -ld {path.parent}") from None
    run.say(f"page: {path}")


def _fault(seen: State) -> str:
    """Return what is wrong with nginx, "" when nothing is."""
    if seen.proxy is None:
        return "does not run"
    if seen.proxy.live:
        return ""
    return seen.proxy.trouble or "does not answer"


def _now() -> str:
    return _rfc3339(time.time())


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
