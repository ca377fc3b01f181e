"""Asks isolation about what a change applies: Specs and nginx's files, in each state that it goes through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.model.state import State
from swiftdeploy_tasks.model.verdict import Question
from swiftdeploy_tasks.proxy.probe import Generation
from swiftdeploy_tasks.rollout import admission
from swiftdeploy_tasks.rollout.job import Job, render, written
from swiftdeploy_tasks.rollout.opa_process import OpaStart
from swiftdeploy_tasks.rollout.questions import ask_recorded, ready, refuse, verdicts_before_deploy
from swiftdeploy_tasks.session.run import Run


def allowed_parts(run: Run, job: Job, states: Iterable[State]) -> frozenset[admission.Part]:
    """Ask isolation about the files that are applied in each of these states; return the parts it allowed.

    States whose files differ only in generation, weights or addresses are asked about once. Raises
    PolicyRefused or GateUnavailable.
    """
    rules = ready(run, job.manifest, job.engine, "isolation")
    allowed = frozenset[admission.Part]()
    is_shown = any(verdict.domain == "isolation" for verdict in verdicts_before_deploy(run))
    for question, parts in _written(run, job, states):
        if not parts <= allowed:
            verdict = ask_recorded(run, question, job.manifest, job.engine, rules, quiet=is_shown)
            refuse(run, job.engine, verdict)
            allowed |= parts
    admission.refuse_unasked(run.invocation.shared(OpaStart).parts, allowed)
    return allowed


def record_isolation(run: Run, job: Job, states: Iterable[State]) -> None:
    """Ask isolation about the files that a rollback applies, for the record: no answer stops it."""
    try:
        rules = ready(run, job.manifest, job.engine, "isolation")
        asked = frozenset[admission.Part]()
        for question, parts in _written(run, job, states):
            if not parts <= asked:
                verdict = ask_recorded(run, question, job.manifest, job.engine, rules)
                asked |= parts
                if verdict.failed:
                    sentence = verdict.failed[0].sentence
                    run.say(f"isolation refuses ({sentence}); the rollback continues", "warn")
    except GateUnavailable as error:
        run.say(f"isolation gave no answer ({error.message}); the rollback continues", "warn")


def _written(
    run: Run, job: Job, states: Iterable[State]
) -> Iterator[tuple[Question, frozenset[admission.Part]]]:
    """Yield the question about the applied files of each state, with the parts that it covers.

    The state with most slots comes first: its files have most parts of the others.
    """
    looked = replace(job, known=job.engine.facts(job.manifest))
    port = job.manifest.nginx.operator_port
    for state in sorted(states, key=lambda state: len(state.slots), reverse=True):
        found = written(looked, state)
        generation = Generation(state.traffic, "0" * 16, run.invocation.run).text
        nginx = "\n".join(render(looked, state, generation, foreseen=True).values())
        question = admission.about_isolation(
            job.engine.name, job.manifest, written=found, nginx=nginx, home=job.settings.home
        )
        yield question, admission.spec_parts(found) | admission.nginx_parts(nginx, port)
