"""The sentences about what of the history is verified."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.verification import Verification


@dataclass(frozen=True)
class Integrity:
    """What of the whole history is verified, whatever the period.

    `unreadable` says why it could not be read, "" where it could.
    """

    verification: Verification
    unreadable: str = ""

    @property
    def head(self) -> Head | None:
        """The head that the state folder has."""
        return self.verification.head

    @property
    def first_bad_file(self) -> str:
        """The name of the file that holds the first bad line."""
        file = self.verification.first_bad_file
        return file.name if file else "the history"

    @property
    def verdict(self) -> str:
        """What of the history is verified, in sentences."""
        found = self.verification
        if self.unreadable:
            return f"Nothing is verified: {self.unreadable[:1].lower()}{self.unreadable[1:]}"
        if found.ok and not found.records:
            return "Nothing is recorded yet."
        if found.ok:
            return " ".join(filter(None, (self._whole, self._past_head)))
        line = "" if found.first_bad is None else f"Line {found.first_bad} of {self.first_bad_file}: "
        return f"{line}{found.reason}. {self._proven}"

    @property
    def _whole(self) -> str:
        """The records up to the head of a whole history, "" where there are none."""
        found = self.verification
        count = found.records - (found.past_head is not None)
        if found.proven and found.dropped_by:
            first = found.proven.first
            gone = " 1 was" if first == 2 else f"s 1 to {first - 1} were"
            return (
                f"Record{gone} dropped by age, as record {found.dropped_by} says. The {count} records"
                f" from record {first} on link to the head; none was changed or removed."
            )
        which = f"All {count}" if found.is_proven else f"The {count}" if count else ""
        return which and f"{which} records link to the head; none was changed or removed."

    @property
    def _past_head(self) -> str:
        seq = self.verification.past_head
        if seq is None:
            return ""
        return f"Record {seq} is past the head, as a crash leaves one, and is not verified."

    @property
    def _proven(self) -> str:
        found = self.verification
        if found.proven is None:
            why = "no record links to the head" if found.head else "there is no head"
            if found.head and found.denied:
                why = "the witness contradicts every record that links to the head"
            return f"Nothing is verified: {why}."
        says = f"Verified by the {'witness' if found.by_witness else 'head'}: {found.proven}"
        if found.proven.last - found.proven.first + 1 == found.records:
            return f"{says}."
        return f"{says}. The other records are not verified, even where they link to each other."

    @property
    def torn(self) -> str:
        """The lines between the records that are not records, "" without any."""
        lines, size = self.verification.torn_lines, self.verification.torn_bytes
        if not lines:
            return ""
        what = "1 line is not a record" if lines == 1 else f"{lines} lines are not records"
        return (
            f"Between the records, {what} ({size} bytes): half-written at a crash, or appended by another"
            " program. Such lines count neither as records nor for history.max_bytes."
        )

    @property
    def witness(self) -> str:
        """The comparison with the second witness, "" where none is kept."""
        witness = self.verification.witness
        if witness is None:
            return ""
        if witness.contradicts:
            return f"The witness {witness.path} contradicts the history: {witness.contradicts}."
        if witness.problem:
            return f"The witness {witness.path}: {witness.problem}."
        if not witness.agrees:
            return f"The witness {witness.path} has no head of the records that are here."
        what = "" if self.verification.ok else " with the records that are here"
        says = f"The witness {witness.path} agrees{what} up to record {witness.agrees}"
        if witness.last and witness.agrees < witness.last.seq:
            return f"{says}; its heads up to record {witness.last.seq} have no record to be compared with."
        return f"{says}."
