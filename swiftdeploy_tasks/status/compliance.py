"""The rules as they hold now, asked without changing or starting anything.

A gate that cannot be asked is shown as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from swiftdeploy_tasks.engines.protocol import Engine
from swiftdeploy_tasks.errors import GateUnavailable, SwiftDeployError
from swiftdeploy_tasks.manifest.edit import MODES
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.verdict import Question, Verdict
from swiftdeploy_tasks.rollout import admission, policies, questions
from swiftdeploy_tasks.rollout.admission import Change
from swiftdeploy_tasks.rollout.canary import Figures
from swiftdeploy_tasks.rollout.sampling import Sample
from swiftdeploy_tasks.session.run import Run

# A busy host answers late; one that was waited for in vain is not waited for again.
FIRST_SECONDS, NEXT_SECONDS = 3.0, 0.5


@dataclass(frozen=True)
class Unanswered:
    """A domain of which nothing is known, and why; `early` where it only is too soon to ask."""

    domain: str
    rules: tuple[str, ...]
    reason: str
    early: bool = False

    def document(self) -> dict[str, Any]:
        """The form of `verdicts` in docs/ci.md, with null for what is not known."""
        return {
            "domain": self.domain,
            "allow": None,
            "revision": None,
            "answered_by": None,
            "duration_ms": None,
            "checks": [
                {"rule": rule, "passed": None, "observed": None, "limit": None, "message": self.reason}
                for rule in self.rules
            ],
        }


Standing = Verdict | Unanswered


def judge(run: Run, asked: Manifest, engine: Engine, serving: Sample | None) -> tuple[Standing, ...]:
    """Ask every domain about what is there now; `serving` is the slot that has most of the traffic."""
    try:
        rules = policies.bundle(run.settings, asked)
    except GateUnavailable as error:
        return tuple(Unanswered(domain, (), error.message) for domain in policies.DOMAINS)
    standings: list[Standing] = []
    patience = FIRST_SECONDS
    for domain, question in _questions(run, asked, engine, serving):
        names = policies.rules_of(rules, domain)
        if isinstance(question, Unanswered):
            standings.append(replace(question, rules=names))
            continue
        try:
            standings.append(
                admission.ask(
                    question,
                    rules,
                    settings=run.settings,
                    manifest=asked,
                    engine=engine,
                    timeout=patience,
                )
            )
        except GateUnavailable as error:
            patience = NEXT_SECONDS
            standings.append(Unanswered(domain, names, error.message))
    return tuple(standings)


def _questions(
    run: Run, asked: Manifest, engine: Engine, serving: Sample | None
) -> Iterator[tuple[str, Question | Unanswered]]:
    try:
        for question in questions.before_deploy(run, asked, engine):
            yield question.domain, question
    except SwiftDeployError as error:
        for domain in questions.BEFORE_DEPLOY:
            yield domain, Unanswered(domain, (), error.message)
    yield "canary", _about_serving(asked, serving)


def _about_serving(asked: Manifest, serving: Sample | None) -> Question | Unanswered:
    """Return what a promote would ask now."""
    if serving is None or serving.release is None:
        return Unanswered("canary", (), "no release serves", early=True)
    declared = asked.services.metrics is not None
    if declared and serving.window is None and not serving.problem:
        return Unanswered("canary", (), "no window yet: a rate needs two samples", early=True)
    unreadable = 1 if serving.problem else 0
    other = next(mode for mode in MODES if mode != serving.release.mode)
    change = Change("promote", serving.release, replace(serving.release, mode=other))
    figures = Figures(serving.window, serving.problem, unreadable)
    return admission.about_canary(change, asked, "before", figures, healthy=serving.healthy)
