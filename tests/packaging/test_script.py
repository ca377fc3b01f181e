"""The script at the root: when it makes the environment, and how it hands over.

The Python that it is given is a stand-in, so that no package index is needed: it makes an environment whose
`swiftdeploy` prints what it was handed. Whatever else is asked of it goes to the real one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import CHECKOUT

PYTHON = f"""#!/bin/sh
if [ "$1" != -I ]; then echo "Python is not isolated: $*" >&2; exit 1; fi
shift
case "$1 $2" in
"-m venv")
    echo made >>"$MADE"
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip")
    echo a line on stdout
    [ -z "${{PIP_FAILS-}}" ] || exit 1
    echo installed >>"$MADE"
    printf '#!/bin/sh\\npwd\\nprintf "%%s|" "$@"\\nexit 7\\n' >"$(dirname "$0")/swiftdeploy"
    chmod +x "$(dirname "$0")/swiftdeploy" ;;
*) exec '{sys.executable}' -I "$@" ;;
esac
"""


class Checkout:
    """A folder with the script, the project's metadata, and the stand-in; `made` is what was done."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout"
        self.root.mkdir()
        for name in ("swiftdeploy", "pyproject.toml"):
            shutil.copy2(CHECKOUT / name, self.root)
        os.utime(self.root / "pyproject.toml", (1, 1))
        self.python = self.root / "python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.log = self.root / "made"

    def start(self, *words: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        given = {"PYTHON": str(self.python), "MADE": str(self.log), **environment}
        return subprocess.Popen(
            words or ("./swiftdeploy", "deploy"),
            cwd=cwd or self.root,
            env=os.environ | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        process = self.start(*words, cwd=cwd, **environment)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    @property
    def made(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("shell", [(), ("sh",), ("bash",)], ids=["itself", "sh", "bash"])
def test_it_hands_over_words_folder_and_exit_code_from_anywhere(
    checkout: Checkout, tmp_path: Path, shell: tuple[str, ...]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, out, err = checkout.run(*shell, str(checkout.root / "swiftdeploy"), "x y", "--json", cwd=elsewhere)
    assert (code, out) == (7, f"{elsewhere}\nx y|--json|")
    assert "preparing" in err
    assert checkout.made == ["made", "installed"]


def test_it_finds_its_folder_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout.root / "swiftdeploy")
    assert checkout.run(str(tmp_path / "link"))[0] == 7


@pytest.mark.parametrize("module", ["fcntl", "venv", "ensurepip", "sys", "pip"])
def test_a_module_in_the_current_folder_is_not_imported(checkout: Checkout, module: str) -> None:
    (checkout.root / f"{module}.py").write_text("raise SystemExit('the project was imported')\n")
    code, _, err = checkout.run()
    assert (code, checkout.made) == (7, ["made", "installed"]), err


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_what_is_installed_is_readable_for_all_and_writable_for_its_owner_alone(
    checkout: Checkout, umask: int
) -> None:
    before = os.umask(umask)
    try:
        assert checkout.run()[0] == 7
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o066 for path in (checkout.root / ".venv").rglob("*")}
    assert modes == {0o044}


def test_an_environment_that_is_up_to_date_is_left_alone(checkout: Checkout) -> None:
    checkout.run()
    code, _, err = checkout.run()
    assert (code, err, checkout.made) == (7, "", ["made", "installed"])


def test_changed_metadata_installs_again_into_the_same_environment(checkout: Checkout) -> None:
    checkout.run()
    os.utime(checkout.root / ".venv" / "swiftdeploy.stamp", (0, 0))
    assert checkout.run()[0] == 7
    assert checkout.made == ["made", "installed", "installed"]


def test_an_environment_left_half_made_is_made_again(checkout: Checkout) -> None:
    code, out, err = checkout.run(PIP_FAILS="yes")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("swiftdeploy: the packages that pyproject.toml names cannot")
    assert checkout.run()[0] == 7
    assert checkout.made == ["made", "made", "installed"]


def test_an_update_that_fails_half_way_calls_for_a_new_environment(checkout: Checkout) -> None:
    checkout.run()
    os.utime(checkout.root / ".venv" / "swiftdeploy.stamp", (0, 0))
    assert checkout.run(PIP_FAILS="yes")[0] == 2
    assert checkout.run()[0] == 7
    assert checkout.made == ["made", "installed"] * 2


def test_a_checkout_that_was_moved_gets_a_new_environment(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run()
    checkout.root = checkout.root.rename(tmp_path / "moved")
    checkout.python, checkout.log = checkout.root / "python", checkout.root / "made"
    assert checkout.run()[0] == 7
    assert checkout.made == ["made", "installed"] * 2


def test_two_at_once_make_it_once(checkout: Checkout) -> None:
    started = [checkout.start() for _ in range(4)]
    for process in started:
        process.communicate(timeout=30)
    assert [process.returncode for process in started] == [7] * 4
    assert checkout.made == ["made", "installed"]


@pytest.mark.parametrize("answer", ["exit 1", 'case "$3" in *ensurepip*) exit 1 ;; esac'])
def test_a_python_that_will_not_do_is_one_sentence(checkout: Checkout, answer: str) -> None:
    checkout.python.write_text(f"#!/bin/sh\n{answer}\n")
    code, out, err = checkout.run()
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"swiftdeploy: {checkout.python} ")
    assert "; next: " in err


def test_no_python_at_all_is_one_sentence(checkout: Checkout) -> None:
    code, _, err = checkout.run(PYTHON="/nonexistent/python3")
    assert (code, err.count("\n")) == (2, 1)
