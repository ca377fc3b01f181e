"""The embedded Rego engine (regopy): answers without a server.

It gets the same bundle as the server and its answers are validated in the same way. A policy that it compiles
and OPA does not is refused: see `compile_check`.

Quirks of regopy: its `Input` loses digits and quotes, so input goes in as JSON text; it prints what it also
raises, so its log is off; a second `build` of one interpreter mixes up its entry points, so each has its own;
and it goes on with the result of a builtin that failed, where OPA ends the body, so that ends the evaluation.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import syntax_check, worker
from swiftdeploy_tasks.gate.bundle import PACKAGE, Bundle
from swiftdeploy_tasks.gate.compile_check import SERVER, PolicyFault, faults
from swiftdeploy_tasks.gate.decision import NEXT, believe, first_of
from swiftdeploy_tasks.gate.declared_rules import Answer, Declared, rules_by_domain, rules_of
from swiftdeploy_tasks.model.verdict import Question, Verdict

if TYPE_CHECKING:
    from regopy import Bundle as Compiled
    from regopy import Interpreter

EVERY = "every domain"
CHECK_SECONDS = 20.0
_MESSAGE = re.compile(r"\(errormsg \d+:([^)]*)\)")


@dataclass(frozen=True)
class _Judged:
    """A decision, and the rules that the domain declares: None, and why, where they are not known."""

    decision: object
    rules: tuple[str, ...] | None
    problem: str = "it declares no rules"


def ask_embedded(question: Question, bundle: Bundle) -> Verdict:
    """Judge `question` by `bundle`.

    Raises GateUnavailable when the policies do not compile or give no clear decision.
    """
    begun = time.perf_counter()
    found = worker.decide(load, bundle, question.domain, question.text())
    assert isinstance(found, _Judged)
    verdict = believe(
        found.decision,
        domain=question.domain,
        rules=found.rules,
        revision=bundle.revision,
        answered_by="embedded",
        duration_ms=(time.perf_counter() - begun) * 1000,
        is_rollback=question.is_rollback,
    )
    if found.rules is None:
        raise GateUnavailable(found.problem, NEXT)
    return verdict


def warm(bundle: Bundle) -> None:
    """Begin to compile the bundle, which the first question then need not wait for."""
    worker.warm(load, bundle)


def check_bundle(bundle: Bundle, *, required: Iterable[str]) -> Declared:
    """Return the rules of every domain, after each compiled, decided, and refused an empty input.

    Raises GateUnavailable that names the file or the domain; so too when a required domain is not there.
    """
    found = worker.decide(load, bundle, EVERY, "{}", seconds=CHECK_SECONDS)
    assert isinstance(found, dict)
    return rules_by_domain(bundle, found, required=required, answered_by="embedded")


def load(bundle: Bundle) -> Callable[[str, str], object]:
    """Compile the bundle; return what answers about (domain, input as JSON text).

    The answer about a domain is its decision as JSON values, None where it is not defined, and its declared
    rules. The answer about EVERY is the Answer of each domain, when no policy has a fault. Both raise
    GateUnavailable, and a crash of the library ends the process: see `cell`.
    """
    entries = [_entry(domain, name) for domain in bundle.domains for name in ("decision", "rules")]
    engine = _interpreter(bundle)
    # The query compiles the rules too that no entry point reaches, and `_refuse_faults` reads them.
    compiled = engine.build("data", entries)
    if not compiled.ok():
        raise _unfit(bundle)

    def answer(domain: str, text: str) -> Answer:
        found = (_value(engine, compiled, domain, name, text) for name in ("decision", "rules"))
        return Answer(*found)

    known: dict[str, tuple[tuple[str, ...] | None, str]] = {}

    def judge(domain: str, text: str) -> object:
        if domain == EVERY:
            _refuse_faults(bundle, engine, compiled)
            return {each: answer(each, text) for each in bundle.domains}
        if domain not in bundle.domains:
            return _Judged(None, None)
        decision = answer(domain, text).decision
        if domain not in known:
            known[domain] = _rules(bundle, domain, lambda: answer(domain, "{}"))
        return _Judged(decision, *known[domain])

    return judge


def _rules(bundle: Bundle, domain: str, ask: Callable[[], Answer]) -> tuple[tuple[str, ...] | None, str]:
    """Return the rules that the domain declares, or None and why its answer to an empty input has none."""
    try:
        return rules_of(domain, ask(), revision=bundle.revision, answered_by="embedded"), ""
    except GateUnavailable as error:
        return None, error.message


def _interpreter(bundle: Bundle) -> Interpreter:
    from regopy import Interpreter, LogLevel, RegoError

    engine = Interpreter()
    engine.log_level = LogLevel.NONE
    engine.strict_built_in_errors = True
    for name, found in bundle.plain:
        try:
            engine.add_module(name, found.text)
        except RegoError as error:
            raise GateUnavailable(f"the policy {name} does not compile: {_reason(error)}", NEXT) from None
    engine.add_data_json(bundle.data)
    return engine


def _unfit(bundle: Bundle) -> GateUnavailable:
    """Return the error for policies that do not compile together with their data."""
    alone = [
        domain
        for domain in bundle.domains
        if not _interpreter(bundle).build(None, [_entry(domain, "decision")]).ok()
    ]
    named = ", ".join(alone) or "some domain"
    return GateUnavailable(f"the policies of {named} and their data do not fit together", NEXT)


def _refuse_faults(bundle: Bundle, engine: Interpreter, compiled: Compiled) -> None:
    """Raise GateUnavailable for what OPA would refuse, or decide otherwise, in any policy of the bundle."""
    found = [
        PolicyFault(f"{name}:{row}", what)
        for name, text in bundle.modules
        for row, what in syntax_check.faults(text)
    ]
    with tempfile.TemporaryDirectory(prefix="swiftdeploy-") as folder:
        engine.save_bundle(folder, compiled)
        planned = json.loads(Path(folder, "plan.json").read_text(encoding="utf-8"))
    found += faults(planned, is_builtin=engine.is_builtin)
    if found:
        raise GateUnavailable(
            f"the embedded engine refuses the policies: {first_of([*map(str, found)])}",
            f"correct the policies, or {SERVER}",
        )


def _value(engine: Interpreter, compiled: Compiled, domain: str, name: str, text: str) -> object:
    from regopy import RegoError

    try:
        engine.set_input_term(text)
        output = engine.query_bundle_entrypoint(compiled, _entry(domain, name))
        if not output.ok():
            raise GateUnavailable(
                f"the policy of {domain} contradicts itself (a rule has two values at once), or a builtin "
                "failed on a value that it does not take, as in count(1)",
                f"test the value first, as in is_string(x), or {SERVER}",
            )
        answers = output.results[0].expressions
    except (RegoError, ValueError, RecursionError) as error:
        # An undefined function is found only now, and comes as text that is not JSON.
        raise GateUnavailable(
            f"the policy of {domain} does not compile, or cannot be evaluated: {_reason(error)}", NEXT
        ) from None
    return answers[0] if answers else None


def _entry(domain: str, name: str) -> str:
    return f"{PACKAGE}/{domain}/{name}"


def _reason(error: Exception) -> str:
    """The messages out of regopy's syntax tree, or the error's own first line."""
    if isinstance(error, ValueError | RecursionError):
        return "it uses a function, a number or a depth that the embedded engine does not have"
    messages = dict.fromkeys(_MESSAGE.findall(str(error)))
    return "; ".join(messages) or str(error).splitlines()[0]
