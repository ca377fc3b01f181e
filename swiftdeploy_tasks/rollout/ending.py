"""The ending of a change: its release is confirmed, and the manifest that it runs under is kept."""

from __future__ import annotations

from collections.abc import Callable

from swiftdeploy_tasks.model.release import Release
from swiftdeploy_tasks.rollout import applied, executor, noting, release_store
from swiftdeploy_tasks.rollout.release_store import Confirmation
from swiftdeploy_tasks.session.run import Run


def confirm(
    run: Run,
    release: Release,
    content: bytes,
    *,
    former: Release | Confirmation | None,
    back_to: Confirmation | None = None,
    write_mode: Callable[[], None] = lambda: None,
) -> None:
    """Confirm the release and keep `content`, the bytes of the manifest that it runs under.

    `former` ran before it. `back_to` is the confirmation that a rollback goes back to: later ones are removed
    from the stack. `write_mode` rewrites services.mode in between.
    """
    folder = run.settings.releases
    executor.boundary("confirm the release")
    is_new = former != release or release_store.present(folder) != release.id
    if back_to:
        release_store.roll_back(folder, back_to)
    else:
        release_store.confirm(folder, release)
    if is_new:
        noting.confirmed(run, former, release)
    executor.boundary("rewrite the mode")
    write_mode()
    executor.boundary("keep the manifest")
    applied.keep(run.settings, release.id, content)
