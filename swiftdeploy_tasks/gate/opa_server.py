"""Asks an OPA server over HTTP.

An answer counts when it is complete, in time, and of our revision; everything else raises GateUnavailable.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.bundle import PACKAGE
from swiftdeploy_tasks.gate.decision import NEXT, believe, short
from swiftdeploy_tasks.model.verdict import Question, Verdict

MAX_ANSWER = 1024 * 1024
_CHUNK = 16 * 1024
_POLL = 0.05
# The least time for one answer while a server gets ready.
_TRY = 0.5
# How long a server that runs may take to get ready on a busy host.
SLOW_SECONDS = 90.0


def ask_server(
    question: Question, *, url: str, revision: str, rules: Collection[str] | None, timeout: float = 4.5
) -> Verdict:
    """Judge `question` by the bundle `revision` on the OPA server at `url`, in `timeout` seconds in all.

    `rules` are those that the domain declares, None where they are not compared. Raises GateUnavailable, with
    words of its own for each way in which the answer is not a clear decision.
    """
    begun = time.perf_counter()
    body = f'{{"input": {question.text()}}}'.encode()
    document = _fetch(url, f"{question.domain}/decision", body, timeout)
    decision = document.get("result")
    if decision is None or isinstance(decision, dict):
        _same_revision(document, revision, url)
    return believe(
        decision,
        domain=question.domain,
        rules=rules,
        revision=revision,
        answered_by="opa",
        duration_ms=(time.perf_counter() - begun) * 1000,
        is_rollback=question.is_rollback,
    )


def wait_ready(
    url: str, revision: str, *, deadline: float = 10.0, is_starting: Callable[[], bool] = lambda: False
) -> None:
    """Return when the server at `url` answers under `revision`.

    Raises GateUnavailable with the last cause after `deadline` seconds: until then a server that refuses,
    resets or still has another revision is only not ready yet. One that is silent while `is_starting` has
    SLOW_SECONDS.
    """
    begun = time.monotonic()
    while True:
        left = begun + deadline - time.monotonic()
        is_silent = True
        try:
            response = _exchange(url, "ready", b"{}", left if left > _POLL else _TRY)
            is_silent = False
            return _same_revision(_document(response, url), revision, url)
        except GateUnavailable as error:
            taken = time.monotonic() - begun
            may_wait = is_silent and taken < SLOW_SECONDS
            if taken >= deadline - _POLL and not (may_wait and is_starting()):
                bound = deadline if taken < deadline + _TRY else taken
                message = f"OPA was not ready within {bound:.3g} s: {error.message}"
                raise GateUnavailable(message, NEXT) from None
        time.sleep(_POLL)


def _fetch(url: str, path: str, body: bytes, timeout: float) -> dict[str, Any]:
    """OPA's answer about `path`, whole and in `timeout` seconds."""
    return _document(_exchange(url, path, body, timeout), url)


def _exchange(url: str, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    """Status and content of an answer, whole and in `timeout` seconds.

    In its own thread, because a socket's time-out restarts with every byte.
    """
    outcome: queue.SimpleQueue[tuple[int, bytes] | Exception] = queue.SimpleQueue()

    def exchange() -> None:
        try:
            outcome.put(_post(f"{url}/v1/data/{PACKAGE}/{path}", body, timeout))
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=exchange, daemon=True).start()
    try:
        result = outcome.get(timeout=timeout)
    except queue.Empty:
        raise _late(url, timeout) from None
    if isinstance(result, Exception):
        raise _unreachable(result, url, timeout) from None
    return result


def _post(address: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    import requests

    with requests.Session() as session:
        session.trust_env = False
        response = session.post(
            address,
            params={"provenance": "true"},
            data=body,
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )
        content = b""
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > MAX_ANSWER:
                break
        return response.status_code, content


def _document(response: tuple[int, bytes], url: str) -> dict[str, Any]:
    status, content = response
    if len(content) > MAX_ANSWER:
        raise _broken(url, f"more than {MAX_ANSWER} bytes")
    if status != 200:
        raise _broken(url, f"status {status} {_complaint(content)}".rstrip())
    try:
        document = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _broken(url, f"what is not JSON: {short(content)}") from None
    if not isinstance(document, dict):
        raise _broken(url, f"{short(document)} instead of an object")
    if not document:
        raise _broken(url, "an empty object")
    return document


def _same_revision(document: dict[str, Any], revision: str, url: str) -> None:
    provenance = document.get("provenance")
    bundles = provenance.get("bundles") if isinstance(provenance, dict) else None
    if not isinstance(bundles, dict) or not bundles:
        raise _broken(url, "no provenance, so the bundle that it used is unknown")
    if len(bundles) > 1:
        raise _broken(url, f"{len(bundles)} bundles in force instead of one: {short(sorted(bundles))}")
    (bundle,) = bundles.values()
    found = bundle.get("revision") if isinstance(bundle, dict) else None
    if found != revision:
        raise _broken(url, f"the policies of revision {short(found)}, wanted {revision}")


def _complaint(content: bytes) -> str:
    """OPA's own words for an error, where it has any."""
    try:
        document = json.loads(content)
        errors = document.get("errors") or [document]
        return f"({short(errors[0]['code'])}: {short(errors[0]['message'])})"
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
        return ""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _late(url: str, timeout: float) -> GateUnavailable:
    return GateUnavailable(f"OPA at {url} gave no whole answer within {timeout:.3g} s", NEXT)


def _unreachable(error: Exception, url: str, timeout: float) -> GateUnavailable:
    import requests

    if isinstance(error, requests.Timeout):
        return _late(url, timeout)
    if "refused" in str(error):
        return GateUnavailable(f"nothing listens at {url}, where OPA should", NEXT)
    return GateUnavailable(f"the connection to OPA at {url} broke: {short(str(error))}", NEXT)


def _broken(url: str, what: str) -> GateUnavailable:
    return GateUnavailable(f"OPA at {url} answered with {what}", NEXT)
