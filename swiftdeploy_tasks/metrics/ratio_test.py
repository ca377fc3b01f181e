"""A sequential test of whether requests of the new slot are bad more often than those of stable.

Both slots are counted at the same moments, so what makes both worse alike cancels out, and the shares of the
traffic may change between batches. The result is an e-value, as in `rate_test`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from swiftdeploy_tasks.metrics.rate_test import BETTER, MAX_E, NOTHING, Counts, log_power, mean_of_exp

# The alternatives above the limit, as multiples of it.
MORE_OFTEN = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# A larger limit counts as this one: its products with counts stay finite.
MAX_RATIO = 1e6

_FACTORS = MORE_OFTEN + BETTER


@dataclass(frozen=True)
class Comparison:
    """What both slots answered in the batches in which both got requests.

    `logarithms` has a sum for each alternative: the part of its log likelihood ratio that depends on how
    the requests of each batch were shared between the slots.
    """

    new: Counts = NOTHING
    stable: Counts = NOTHING
    logarithms: tuple[float, ...] = (0.0,) * len(_FACTORS)

    @property
    def bad(self) -> int:
        """How many requests of either slot were bad."""
        return self.new.bad + self.stable.bad

    def after(self, new: Counts, stable: Counts, limit: float) -> Comparison:
        """Return the comparison with one more batch; the limit is the same for every batch."""
        if not (new.requests and stable.requests):
            return self
        weight = new.requests * min(max(limit, 0.0), MAX_RATIO)
        bad, at_limit = new.bad + stable.bad, weight + stable.requests
        logarithms = tuple(
            total + bad * math.log(at_limit / (weight * factor + stable.requests))
            for total, factor in zip(self.logarithms, _FACTORS, strict=True)
        )
        return Comparison(self.new + new, self.stable + stable, logarithms)

    def above_limit(self, limit: float) -> float:
        """Return the e-value against "new is bad at most `limit` times as often as stable".

        A limit of 0 or less is refuted by the first bad request of the new slot.
        """
        if limit <= 0:
            return MAX_E if self.new.bad else 1.0
        return mean_of_exp(self._log_ratios()[: len(MORE_OFTEN)])

    def below_limit(self, limit: float) -> float:
        """Return the e-value against "new is bad at least `limit` times as often as stable".

        A limit of 0 or less cannot be proven.
        """
        return mean_of_exp(self._log_ratios()[len(MORE_OFTEN) :]) if limit > 0 else 1.0

    def _log_ratios(self) -> list[float]:
        return [
            log_power(factor, self.new.bad) + total
            for factor, total in zip(_FACTORS, self.logarithms, strict=True)
        ]
