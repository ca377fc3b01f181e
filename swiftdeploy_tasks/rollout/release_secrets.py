"""The values of a release's secrets."""

from __future__ import annotations

from collections.abc import Mapping

from swiftdeploy_tasks.errors import PreflightError
from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.session.invocation import INVOCATION
from swiftdeploy_tasks.system import environ


def secrets_of(release: Release, known: Mapping[str, str]) -> dict[str, str]:
    """Return the release's secrets by the caller's variable names, from `known`, else from our environment.

    `known` are the values that a running slot has, by the app's names. From now on they are masked. Raises
    PreflightError for one unset.
    """
    found = {}
    for name, source in release.secrets:
        value = known.get(name, environ.of_caller(source))
        if value is None:
            raise PreflightError(
                f"services.env takes {name} from {source}, which is not set", f"export {source}=…"
            )
        found[source] = value
    INVOCATION.secrets.update(found.values())
    return found
