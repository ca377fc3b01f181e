"""The errors that a person sees, and the exit code of each.

Scripts branch on the class's name (`kind` in `--json`) and on its code. `session.task` turns an error into an
exit.

    SwiftDeployError                1   (a bug when raised bare)
    ├── UsageError                  1   the command line is wrong
    ├── PreflightError              2   a check that is made before anything moves
    │   └── ManifestError           2   manifest.yaml is invalid
    ├── PolicyRefused               3   the policy said no
    │   └── Undecided               3   too few requests to judge a release, and rollout.undecided: rollback
    ├── GateUnavailable             4   the policy engine is unavailable or its answer is invalid
    ├── EngineError                 5   the engine cannot do it
    │   ├── ProxyError              5   nginx does not start, or refuses its configuration
    │   └── ImageError              5   a build or a pull failed
    ├── AppUnhealthy                6   the app died, or never got healthy
    ├── HistoryError                7   the history does not verify or cannot be written
    ├── LockHeld                    8   another invocation holds the project's lock
    ├── WouldChange                 9   something would change (`plan --check`)
    ├── Held                       10   too few requests to judge a release, and rollout.undecided: hold
    └── Interrupted               130   Ctrl-C or a request to end
"""

from __future__ import annotations

from collections.abc import Mapping


class SwiftDeployError(Exception):
    """One sentence for a person, and the next command to type; `exit_code` is the process's.

    `log` are lines that say more, under `log_title`.
    """

    exit_code = 1
    log_title = "last lines of its output"

    def __init__(self, message: str, next: str = "", *, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.next = next
        self.log = log

    @property
    def kind(self) -> str:
        """The class's name, as `--json` gives it."""
        return type(self).__name__


class UsageError(SwiftDeployError):
    """The command's words are off."""


class PreflightError(SwiftDeployError):
    """A check that is made before anything moves has failed."""

    exit_code = 2


class ManifestError(PreflightError):
    """`manifest.yaml` is missing, is not YAML, or does not fit the schema."""


class PolicyRefused(SwiftDeployError):
    """A Rego policy said no."""

    exit_code = 3


class Undecided(PolicyRefused):
    """Nothing is known against a release, and too little for it; it was rolled back."""


class GateUnavailable(SwiftDeployError):
    """No clear yes could be had: no answer, a late one, a broken one, or one from another revision."""

    exit_code = 4


class EngineError(SwiftDeployError):
    """The engine cannot be reached, or an operation of it failed."""

    exit_code = 5


class ProxyError(EngineError):
    """nginx does not start, or refuses its configuration."""


class ImageError(EngineError):
    """An image could not be built or pulled."""


class AppUnhealthy(SwiftDeployError):
    """The app died, never got healthy, or is not what was deployed."""

    exit_code = 6


class HistoryError(SwiftDeployError):
    """The history does not verify or cannot be written."""

    exit_code = 7


class LockHeld(SwiftDeployError):
    """Another invocation is writing in this project; `holder` is what is known of it."""

    exit_code = 8

    def __init__(self, message: str, next: str = "", *, holder: Mapping[str, object] | None = None) -> None:
        super().__init__(message, next)
        self.holder = holder


class WouldChange(SwiftDeployError):
    """What runs differs from what was asked for."""

    exit_code = 9


class Held(SwiftDeployError):
    """Too little is known of a release; the rollout waits for the next verb."""

    exit_code = 10


class Interrupted(SwiftDeployError):
    """Ctrl-C, or a request to end."""

    exit_code = 130
