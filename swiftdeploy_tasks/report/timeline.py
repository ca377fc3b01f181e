"""The events of the timeline that are one record each, and their sentences."""

from __future__ import annotations

from collections.abc import Callable

from swiftdeploy_tasks.history.chain import DROPPED, HEAD_LOST, ROTATED, TORN, WITNESS, Record
from swiftdeploy_tasks.report import record_fields
from swiftdeploy_tasks.report.audit_report import Kind
from swiftdeploy_tasks.report.record_fields import text_of

Described = tuple[Kind, str] | None
MOST_TARGETS = 20


def describe(record: Record) -> Described:
    """Return the kind of event that a record is, and its sentence; None for a record that is no event."""
    describe_one = _DESCRIBE.get(record["event"])
    return describe_one(record) if describe_one else None


def _lock(record: Record) -> Described:
    holder = record_fields.mapping(record.get("holder"))
    names = [text_of(holder, name) for name in ("verb", "user", "host", "since")]
    by = "{} of {} on {}, since {}".format(*names) if any(names) else "another invocation"
    return "locked", f"{text_of(record, 'argv') or 'a verb'} found the project locked by {by}"


def _mode(record: Record) -> Described:
    if text_of(record, "outcome") == "failed":
        return "mode", f"services.mode could not be rewritten: {text_of(record, 'error')}"
    of = f"version {text_of(record, 'version')}, release {text_of(record, 'release')}"
    return "mode", f"mode changed from {text_of(record, 'from')} to {text_of(record, 'to')}: {of}"


def _confirmed(record: Record) -> Described:
    now, before = record_fields.running(record), record_fields.running(record.get("before"))
    release = f"version {now}, release {now.release}" if now else "a release"
    verb = f"{task}: " if (task := text_of(record, "task")) else ""
    after = f", after version {before}, release {before.release}" if before else ""
    return "release", f"{verb}{release} confirmed{after}"


def _rolled_back(record: Record) -> Described:
    seconds, to = record_fields.number(record.get("seconds")), record_fields.running(record.get("to"))
    reason = text_of(record_fields.mapping(record.get("reason")), "message")
    release = f"version {to}" if to else "the former release"
    if record.get("had_traffic") is False:
        return "rolled_back", f"automatic rollback, {release} kept all traffic: {reason}"
    took = "" if seconds is None else f" after {seconds:.2f} s"
    return "rolled_back", f"automatic rollback, {release} has all traffic again{took}: {reason}"


def _undone(record: Record) -> Described:
    if text_of(record, "outcome") == "failed":
        return "undone", f"undo failed: {text_of(record, 'error')}"
    traffic = text_of(record, "traffic")
    return ("undone", f"{text_of(record, 'task')} undone, traffic goes to {traffic}") if traffic else None


def _chaos(record: Record) -> Described:
    outcome = text_of(record, "outcome")
    what = f"chaos {text_of(record, 'kind')} {outcome} in app-{text_of(record, 'slot')}"
    kind: Kind = "chaos" if outcome == "seen" else "chaos_gone"
    return kind, f"{what}, release {text_of(record, 'release')}"


def _drift(record: Record) -> Described:
    outcome = text_of(record, "outcome")
    targets = ", ".join(map(record_fields.text, record_fields.items(record.get("targets"))[:MOST_TARGETS]))
    by = f" by {text_of(record, 'task')}" if outcome == "mended" else ""
    says = f"drift {outcome}{by}: {text_of(record, 'target') or targets}"
    if what := text_of(record, "what"):
        says += f", {what}"
    if found := text_of(record, "found"):
        expected = text_of(record, "expected")
        says += f": {found}" + (f" instead of {expected}" if expected else "")
    return "drift", says


def _cut_off(record: Record) -> Described:
    since = f", started {text_of(record, 'since')}," if text_of(record, "since") else ""
    return "cut_off", f"{text_of(record, 'verb')} of {text_of(record, 'user')}{since} was killed"


def _recovered(record: Record) -> Described:
    return "recovered", f"recovered from {text_of(record, 'verb')} of release {text_of(record, 'release')}"


def _torn(record: Record) -> Described:
    count = len(record_fields.items(record.get("torn")))
    closed = f"{count} half-written line{'s' * (count != 1)} closed off"
    if record["event"] == TORN:
        return "torn", f"{closed} after a crash"
    lost = "the head of the history was lost; the records before it are not verified"
    return "head_lost", f"{lost}; {closed}" if count else lost


def _rotated(record: Record) -> Described:
    return "rotated", f"the history continues in a new file, after {text_of(record, 'file')}"


def _dropped(record: Record) -> Described:
    first, last = (record_fields.number(record.get(name)) or 0 for name in ("first", "last"))
    return "rotated", f"{text_of(record, 'file')} dropped by age: records {first:.0f} to {last:.0f}"


def _witness(record: Record) -> Described:
    if text_of(record, "outcome") == "restored":
        return "witness", f"the witness {text_of(record, 'file')} is written again"
    return "witness", f"the witness {text_of(record, 'file')} cannot be written: {text_of(record, 'error')}"


_DESCRIBE: dict[str, Callable[[Record], Described]] = {
    "lock": _lock,
    "mode": _mode,
    "confirmed": _confirmed,
    "rolled_back": _rolled_back,
    "undone": _undone,
    "chaos": _chaos,
    "drift": _drift,
    "cut_off": _cut_off,
    "recovered": _recovered,
    TORN: _torn,
    HEAD_LOST: _torn,
    ROTATED: _rotated,
    DROPPED: _dropped,
    WITNESS: _witness,
}
