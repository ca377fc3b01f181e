"""What do the policies say, asked of the Rego engine that comes with this package?

Stands apart from the server's side because it answers where nothing may be installed. It reads the same
bundle, and its answers meet the same doubts.

regopy has quirks to stay clear of: its `Input` loses digits and quotes, so input goes in as JSON text, and
it prints what it also raises, so its log is switched off.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import cell
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
    decision = cell.decide(load, bundle, question.domain, question.text())
    spent = (time.perf_counter() - begun) * 1000
    return believe(
        decision,
        domain=question.domain,
        revision=bundle.revision,
        answered_by="embedded",
        duration_ms=spent,
    )


def warm(bundle: Bundle) -> None:
    """Begin to compile the bundle, which the first question then need not wait for."""
    cell.warm(load, bundle)


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


def load(bundle: Bundle) -> Callable[[str, str], object]:
    """Compile the bundle; return what decides (domain, input as JSON text).

    It returns JSON values, or None for a domain that is not defined, and raises GateUnavailable, as this
    does. It may take the whole process with it: see `cell`.
    """
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
        alone = [d for d in bundle.domains if not engine.build(None, [_entry(d)]).ok()]
        named = ", ".join(alone) or "some domain"
        raise GateUnavailable(f"the policies of {named} and their data do not fit together", NEXT)
    return lambda domain, text: _decide(bundle, engine, compiled, domain, text)


def _decide(bundle: Bundle, engine: Interpreter, compiled: Compiled, domain: str, text: str) -> object:
    from regopy import RegoError

    if domain not in bundle.domains:
        return None
    try:
        engine.set_input_term(text)
        output = engine.query_bundle_entrypoint(compiled, _entry(domain))
        if not output.ok():
            message = f"the policy of {domain} contradicts itself: a rule has two values at once"
            raise GateUnavailable(message, NEXT)
        answers = output.results[0].expressions
    except (RegoError, ValueError, RecursionError) as error:
        # An undefined function is found only now, and comes as text that is not JSON.
        raise GateUnavailable(
            f"the policy of {domain} does not compile, or cannot be evaluated: {_reason(error)}", NEXT
        ) from None
    return answers[0] if answers else None


def _entry(domain: str) -> str:
    return f"{PACKAGE}/{domain}/decision"


def _reason(error: Exception) -> str:
    """The messages out of regopy's syntax tree, or the error's own first line."""
    if isinstance(error, ValueError | RecursionError):
        return "it uses a function, a number or a depth that the embedded engine does not have"
    messages = dict.fromkeys(_MESSAGE.findall(str(error)))
    return "; ".join(messages) or str(error).splitlines()[0]
