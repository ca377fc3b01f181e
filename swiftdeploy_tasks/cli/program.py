"""The `swiftdeploy` command: the collection as a program that needs no tasks.py."""

from __future__ import annotations

import atexit
import gc
import signal
from importlib.metadata import version

# Until the first task listens, Ctrl-C ends the process at once, without a traceback from some import.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# A short life with many imports: the collector would look at the same living objects again and again.
gc.set_threshold(100_000)
# What still lives at the end is freed with the process: collecting it would take a quarter of the run.
atexit.register(gc.freeze)

from invoke import ParseError, Program  # noqa: E402

from swiftdeploy_tasks.cli.collection import ns  # noqa: E402
from swiftdeploy_tasks.manifest.edit import MODES  # noqa: E402
from swiftdeploy_tasks.session import task  # noqa: E402


class SwiftDeploy(Program):
    """Invoke's program, which also takes the mode of promote as a bare word."""

    def parse_tasks(self) -> None:
        """Parse the verbs; `promote canary` means `promote --mode canary`."""
        words = list(self.core.unparsed)
        for index, word in enumerate(words[:-1]):
            if word == "promote" and words[index + 1] in MODES:
                words[index + 1] = f"--mode={words[index + 1]}"
        self.core.unparsed[:] = words
        try:
            super().parse_tasks()
        except ParseError as error:
            if "--json" in words:
                task.report_misuse(words[0], str(error))
            raise


main = SwiftDeploy(
    namespace=ns, name="SwiftDeploy", binary="swiftdeploy", version=version("swiftdeploy-tasks")
).run
