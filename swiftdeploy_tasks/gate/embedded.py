"""What do the policies say, asked of the Rego engine inside this process?

Stands apart from the server's side because it answers where nothing may be installed. It reads the same
bundle, and its answers meet the same doubts.

regopy has quirks to stay clear of: its `Input` loses digits and quotes, so input goes in as JSON text, and
it prints what it also raises, so its log is switched off.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.belief import NEXT, believe
from swiftdeploy_tasks.gate.bundle import PACKAGE, Bundle
from swiftdeploy_tasks.gate.verdict import Question, Verdict

if TYPE_CHECKING:
    from regopy import Bundle as Compiled
    from regopy import Interpreter

_MESSAGE = re.compile(r"\(errormsg \d+:([^)]*)\)")


def ask_embedded(question: Question, bundle: Bundle) -> Verdict:
    """Judge `question` by `bundle`.

    Raises GateUnavailable when the policies do not compile or give no clear decision.
    """
    begun = time.perf_counter()
    decision = _decide(bundle, question)
    spent = (time.perf_counter() - begun) * 1000
    return believe(
        decision,
        domain=question.domain,
        revision=bundle.revision,
        answered_by="embedded",
        duration_ms=spent,
    )


def check_bundle(bundle: Bundle, *, required: Iterable[str]) -> None:
    """Ask every domain about an empty input: each must load, decide, and refuse.

    Raises GateUnavailable that names the file or the domain; so too when a required domain is not there.
    """
    for domain in sorted({*bundle.domains, *required}):
        if domain not in bundle.domains:
            raise GateUnavailable(f"no policy defines the domain {domain}", f"restore policies/{domain}.rego")
        if ask_embedded(Question(domain, {}), bundle).allow:
            raise GateUnavailable(
                f"the policies of {domain} allow an empty input, so they would let anything pass",
                f"correct policies/{domain}.rego, then `invoke validate`",
            )


@functools.lru_cache(maxsize=4)
def _compiled(bundle: Bundle) -> tuple[Interpreter, Compiled]:
    from regopy import Interpreter, LogLevel, RegoError

    engine = Interpreter()
    engine.log_level = LogLevel.NONE
    for name, text in bundle.modules:
        try:
            engine.add_module(name, text)
        except RegoError as error:
            raise GateUnavailable(f"the policy {name} does not compile: {_reason(error)}", NEXT) from None
    engine.add_data_json(bundle.data)
    compiled = engine.build(None, [_entry(domain) for domain in bundle.domains])
    if not compiled.ok():
        raise GateUnavailable("the policies and their data do not fit together", NEXT)
    return engine, compiled


def _decide(bundle: Bundle, question: Question) -> object:
    """The domain's decision as JSON values; None when it is not defined."""
    from regopy import RegoError

    if question.domain not in bundle.domains:
        return None
    engine, compiled = _compiled(bundle)
    try:
        engine.set_input_term(question.text())
        output = engine.query_bundle_entrypoint(compiled, _entry(question.domain))
    except (RegoError, ValueError) as error:
        # An undefined function is found only now, and comes as text that is not JSON.
        raise GateUnavailable(
            f"the policy of {question.domain} does not compile, or cannot be evaluated: {_reason(error)}",
            NEXT,
        ) from None
    if not output.ok():
        raise GateUnavailable(
            f"the policy of {question.domain} contradicts itself: a rule has two values at once", NEXT
        )
    answers = output.results[0].expressions
    return answers[0] if answers else None


def _entry(domain: str) -> str:
    return f"{PACKAGE}/{domain}/decision"


def _reason(error: Exception) -> str:
    """The messages out of regopy's syntax tree, or the error's own first line."""
    messages = dict.fromkeys(_MESSAGE.findall(str(error)))
    return "; ".join(messages) or str(error).splitlines()[0]
