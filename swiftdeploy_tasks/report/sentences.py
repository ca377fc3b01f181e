"""The events of the timeline that are one record each, and their sentences."""

from __future__ import annotations

from collections.abc import Callable

from swiftdeploy_tasks.history.chain import DROPPED, HEAD_LOST, ROTATED, TORN, WITNESS, Record
from swiftdeploy_tasks.report import fields
from swiftdeploy_tasks.report.story import Kind

Said = tuple[Kind, str] | None


def event(record: Record) -> Said:
    """Return the kind of event that a record is, and its sentence; None for one that is none by itself."""
    say = _SAID.get(record["event"])
    return say(record) if say else None


def _text(record: Record, name: str) -> str:
    return fields.text(record.get(name))


def _lock(record: Record) -> Said:
    holder = fields.mapping(record.get("holder"))
    names = [fields.text(holder.get(name)) for name in ("verb", "user", "host", "since")]
    by = "{} of {} on {}, since {}".format(*names) if any(names) else "another invocation"
    return "locked", f"{_text(record, 'argv') or 'a verb'} found the project locked by {by}"


def _mode(record: Record) -> Said:
    if _text(record, "outcome") == "failed":
        return "mode", f"services.mode could not be rewritten: {_text(record, 'error')}"
    of = f"version {_text(record, 'version')}, release {_text(record, 'release')}"
    return "mode", f"the mode went from {_text(record, 'from')} to {_text(record, 'to')}: {of}"


def _confirmed(record: Record) -> Said:
    now, before = fields.running(record), fields.running(record.get("before"))
    words = f"version {now}, release {now.release}" if now else "a release"
    verb = f"{task}: " if (task := _text(record, "task")) else ""
    after = f", after version {before}, release {before.release}" if before else ""
    return "release", f"{verb}{words} confirmed{after}"


def _rolled_back(record: Record) -> Said:
    seconds, to = fields.number(record.get("seconds")), fields.running(record.get("to"))
    reason = fields.text(fields.mapping(record.get("reason")).get("message"))
    if record.get("had_traffic") is False:
        kept = f"version {to} kept all traffic" if to else "the former release kept all traffic"
        return "rolled_back", f"rolled back by itself, {kept}: {reason}"
    took = "" if seconds is None else f" within {seconds:.2f} s"
    all_of = f"version {to} has all traffic again{took}" if to else f"all traffic is back{took}"
    return "rolled_back", f"rolled back by itself, {all_of}: {reason}"


def _undone(record: Record) -> Said:
    if _text(record, "outcome") == "failed":
        return "undone", f"going back failed: {_text(record, 'error')}"
    traffic = _text(record, "traffic")
    return ("undone", f"{_text(record, 'task')} went back: traffic goes to {traffic}") if traffic else None


def _chaos(record: Record) -> Said:
    words = f"chaos {_text(record, 'kind')} {_text(record, 'outcome')} in app-{_text(record, 'slot')}"
    kind: Kind = "chaos" if _text(record, "outcome") == "seen" else "chaos_gone"
    return kind, f"{words}, release {_text(record, 'release')}"


def _drift(record: Record) -> Said:
    targets = ", ".join(map(fields.text, fields.items(record.get("targets"))[:20]))
    by = f" by {_text(record, 'task')}" if _text(record, "outcome") == "mended" else ""
    words = f"drift {_text(record, 'outcome')}{by}: {_text(record, 'target') or targets}"
    if what := _text(record, "what"):
        words += f", {what}"
    if found := _text(record, "found"):
        expected = _text(record, "expected")
        words += f": {found}" + (f" instead of {expected}" if expected else "")
    return "drift", words


def _cut_off(record: Record) -> Said:
    since = f", at work since {_text(record, 'since')}," if _text(record, "since") else ""
    return "cut_off", f"{_text(record, 'verb')} of {_text(record, 'user')}{since} had been killed"


def _recovered(record: Record) -> Said:
    what = f"{_text(record, 'verb')} of release {_text(record, 'release')}"
    return "recovered", f"what {what} left behind was put right"


def _mended(record: Record) -> Said:
    torn = len(fields.items(record.get("torn")))
    halves = f"{torn} half-written line{'s' * (torn != 1)} closed off"
    if record["event"] == TORN:
        return "torn", f"{halves} after a crash"
    words = "the head of the history was lost, and with it the proof of what stood last"
    return "head_lost", f"{words}; {halves}" if torn else words


def _rotated(record: Record) -> Said:
    return "rotated", f"a new file of the history was begun, after {_text(record, 'file')}"


def _dropped(record: Record) -> Said:
    first, last = (fields.number(record.get(name)) for name in ("first", "last"))
    return (
        "rotated",
        f"{_text(record, 'file')} was dropped for its age: records {first or 0:.0f} to {last or 0:.0f}",
    )


def _witness(record: Record) -> Said:
    if _text(record, "outcome") == "restored":
        return "witness", f"the witness {_text(record, 'file')} is told again"
    return "witness", f"the witness {_text(record, 'file')} could not be told: {_text(record, 'error')}"


_SAID: dict[str, Callable[[Record], Said]] = {
    "lock": _lock,
    "mode": _mode,
    "confirmed": _confirmed,
    "rolled_back": _rolled_back,
    "undone": _undone,
    "chaos": _chaos,
    "drift": _drift,
    "cut_off": _cut_off,
    "recovered": _recovered,
    TORN: _mended,
    HEAD_LOST: _mended,
    ROTATED: _rotated,
    DROPPED: _dropped,
    WITNESS: _witness,
}
