"""The sentences about what is proven of the history."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.history.chain import Head
from swiftdeploy_tasks.history.verification import Verification


@dataclass(frozen=True)
class Integrity:
    """What is proven of the whole history, whatever the period.

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
        """What is proven of the history, in sentences."""
        found = self.verification
        if self.unreadable:
            return f"Nothing is proven: {self.unreadable[:1].lower()}{self.unreadable[1:]}"
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
            gone = "record 1 was" if first == 2 else f"1 to {first - 1} were"
            return (
                f"The history begins at record {first}: {gone} dropped by age, as record"
                f" {found.dropped_by} says. The {count} from there on follow each other, up to the head; none"
                " of them was changed or removed."
            )
        which = f"All {count}" if found.is_proven else f"The {count}" if count else ""
        return which and f"{which} records follow each other, up to the head; none was changed or removed."

    @property
    def _past_head(self) -> str:
        seq = self.verification.past_head
        if seq is None:
            return ""
        return f"Record {seq} stands past the head, as a crash leaves one, and is not proven."

    @property
    def _proven(self) -> str:
        found = self.verification
        if found.proven is None:
            why = "no record leads up to the head" if found.head else "there is no head"
            if found.head and found.denied:
                why = "no record that the witness does not contradict leads up to the head"
            return f"Nothing is proven: {why}."
        says = f"Proven by the {'witness' if found.by_witness else 'head'}: {found.proven}"
        if found.proven.last - found.proven.first + 1 == found.records:
            return f"{says}."
        return f"{says}. It proves none of the others, even where they follow each other."

    @property
    def torn(self) -> str:
        """The lines between the records that are no records, "" without any."""
        lines, size = self.verification.torn_lines, self.verification.torn_bytes
        if not lines:
            return ""
        what = "1 line is no record" if lines == 1 else f"{lines} lines are no records"
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
            return f"Of the witness {witness.path}: {witness.problem}."
        if not witness.agrees:
            return f"The witness {witness.path} says nothing of the records that are here."
        what = "" if self.verification.ok else " of the records that are here"
        says = f"The witness {witness.path} says the same{what}, up to record {witness.agrees}"
        if witness.last and witness.agrees < witness.last.seq:
            return f"{says}; beyond it, up to record {witness.last.seq}, nothing can be compared."
        return f"{says}."
