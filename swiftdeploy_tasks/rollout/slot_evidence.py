"""Gathers the evidence about a new slot, and about stable beside it, while a change is watched."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from swiftdeploy_tasks import metrics
from swiftdeploy_tasks.metrics import Evidence, Limits, Scrape
from swiftdeploy_tasks.metrics.scrape import is_figure
from swiftdeploy_tasks.settings import DEFAULTS


def limits_in(limits: Mapping[str, Any]) -> Limits:
    """Return the limits of the canary policy that evidence is gathered for.

    Policies of a project's own may lack some: evidence is gathered by those that ship then.
    """
    data = json.loads((DEFAULTS / "policies" / "data.json").read_text(encoding="utf-8"))
    shipped = data["limits"]["canary"]
    names = [limit.name for limit in fields(Limits)]
    return Limits(**{name: limits[name] if is_figure(limits.get(name)) else shipped[name] for name in names})


@dataclass
class SourceEvidence:
    """The evidence of one source (the app's pages, or nginx), and the scrapes that the next batch follows."""

    limits: Limits
    name: str = ""
    evidence: Evidence = field(init=False)
    new: Scrape | None = None
    stable: Scrape | None = None

    def __post_init__(self) -> None:
        self.evidence = Evidence(self.limits, self.name)

    def take(self, new: Scrape, stable: Scrape | None, *, warm: bool) -> bool:
        """Count what both slots did since the last call; False where stable restarted, and the evidence too.

        A batch in which stable could not be read is not compared.
        """
        before, beside = self.new, self.stable
        self.new, self.stable = new, stable
        if beside and stable and metrics.went_back(beside, stable):
            self.evidence = Evidence(self.limits, self.name)
            return False
        if before:
            pair = (beside, stable) if beside and stable else None
            self.evidence = self.evidence.after(new=(before, new), old=pair, warm=warm)
        return True


@dataclass
class SlotEvidence:
    """The evidence of both sources about one new slot, over all steps of one change.

    `warm_from` is when (unix seconds) the slot's latencies begin to count. `say` prints a sentence, once for
    an old release whose counters went back.
    """

    limits: Limits
    warmup: float
    say: Callable[[str], None]
    warm_from: float = math.inf
    has_restarted: bool = False
    page: SourceEvidence = field(init=False)
    counted: SourceEvidence = field(init=False)

    def __post_init__(self) -> None:
        self.page, self.counted = SourceEvidence(self.limits), SourceEvidence(self.limits, "as nginx counted")

    def begin(self, time: float) -> None:
        """Begin with a slot that gets traffic from this time (unix seconds)."""
        self.page = SourceEvidence(self.limits)
        self.warm_from = time + self.warmup

    def take_page(self, new: Scrape, stable: Scrape | None) -> None:
        """Count a batch of the app's pages."""
        if not self.page.take(new, stable, warm=self._is_warm(new.time)) and not self.has_restarted:
            self.has_restarted = True
            self.say("the old release restarted: the evidence of the metrics pages begins again")

    def take_count(self, new: Scrape, stable: Scrape | None) -> None:
        """Count a batch of what nginx counted."""
        self.counted.take(new, stable, warm=self._is_warm(new.time))

    def document(self) -> dict[str, dict[str, Any]]:
        """The evidence as input of the canary policy."""
        # One that was never read would halve the evidence of the other.
        known = [one.evidence for one in (self.page, self.counted) if one.new]
        return metrics.joint_document(*known or [self.counted.evidence])

    def _is_warm(self, time: float) -> bool:
        return time >= self.warm_from
