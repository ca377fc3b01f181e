"""What is proven of the history, in the sentences that every form of the report and the console say?

Stands apart from the story, which tells what happened: this is said of the whole history, whatever the
period. It judges nothing: the chain did.
"""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.chain import Head, Verification


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
        """What is proven, in sentences."""
        found = self.verification
        if self.unreadable:
            return f"Nothing is proven: {self.unreadable[:1].lower()}{self.unreadable[1:]}"
        if found.ok and not found.records:
            return "Nothing is recorded yet."
        if found.ok and found.proven and found.dropped_by:
            first = found.proven.first
            return (
                f"The history begins at record {first}: 1 to {first - 1} were dropped by age, as record"
                f" {found.dropped_by} says. The {found.records} from there on follow each other, up to the"
                " head; none of them was changed or removed."
            )
        if found.ok:
            return (
                f"All {found.records} records follow each other, up to the head; none was changed or removed."
            )
        line = "" if found.first_bad is None else f"Line {found.first_bad} of {self.first_bad_file}: "
        return f"{line}{found.reason}. {self._proven}"

    @property
    def _proven(self) -> str:
        found = self.verification
        if found.proven is None:
            why = "no record leads up to the head" if found.head else "there is no head"
            return f"Nothing is proven: {why}."
        by = "the witness" if found.witness and found.witness.contradicts else "the head"
        says = f"Proven by {by}: {found.proven}"
        if found.proven.last - found.proven.first + 1 == found.records:
            return f"{says}."
        return f"{says}. Nothing proves the others, even where they follow each other."

    @property
    def witness(self) -> str:
        """What the second witness says, in a sentence; "" where none is kept."""
        witness = self.verification.witness
        if witness is None:
            return ""
        if witness.contradicts:
            return f"The witness {witness.path} contradicts the history: {witness.contradicts}."
        if witness.problem:
            return f"Of the witness {witness.path}: {witness.problem}."
        last = f", up to record {witness.last.seq}" if witness.last else ""
        return f"The witness {witness.path} says the same{last}."
