from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
from swiftdeploy_tasks.system import files


@pytest.fixture(params=[0o077, 0o000], ids=["umask 077", "umask 000"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a device")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("wanted", [0o644, 0o600, 0o640])
def test_a_file_has_exactly_the_mode_that_was_asked_for(tmp_path: Path, wanted: int) -> None:
    files.replace(tmp_path / "file", "new", mode=wanted)
    assert mode(tmp_path / "file") == wanted


def test_the_mode_of_the_former_file_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o666)
    files.replace(tmp_path / "file", "new", mode=0o600)
    assert mode(tmp_path / "file") == 0o600


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("wanted", [0o755, 0o700])
def test_a_new_folder_and_those_above_it_have_exactly_the_mode_that_was_asked_for(
    tmp_path: Path, wanted: int
) -> None:
    files.make_folder(tmp_path / "one" / "two" / "three", mode=wanted)
    assert [mode(tmp_path / path) for path in ("one", "one/two", "one/two/three")] == [wanted] * 3


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o711)
    files.make_folder(tmp_path / "folder", mode=0o700)
    assert mode(tmp_path / "folder") == 0o711


def test_text_is_written_as_utf_8_and_bytes_as_they_are(tmp_path: Path) -> None:
    files.replace_all({tmp_path / "text": "é\r\n", tmp_path / "bytes": b"\xff\x00"})
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "bytes").read_bytes() == b"\xff\x00"


def test_a_reader_that_has_the_old_file_open_reads_it_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (tmp_path / "file").open() as reader:
        files.replace(tmp_path / "file", "new")
        assert reader.read() == "old"
    assert (tmp_path / "file").read_text() == "new"


def test_what_a_link_points_at_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("old")
    (tmp_path / "link").symlink_to(Path("elsewhere") / "file")
    (tmp_path / "link to link").symlink_to("link")
    files.replace(tmp_path / "link to link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link to link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["file"]


def test_a_link_to_nothing_gets_something_to_point_at(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    files.replace(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_link_to_itself_is_an_oserror_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="link"):
        files.replace(tmp_path / "link", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_folder_in_the_place_is_an_oserror_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        files.replace(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_none_is_replaced_when_the_folder_of_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("old")
    with pytest.raises(FileNotFoundError):
        files.replace_all({tmp_path / "first": "new", tmp_path / "no" / "second": "new"})
    assert (tmp_path / "first").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def device(path: Path) -> None:
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))


@pytest.mark.parametrize("make", [os.mkfifo, pytest.param(device, marks=AS_ROOT)])
@pytest.mark.parametrize("by_link", [False, True], ids=["itself", "by a link"])
def test_what_is_no_regular_file_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], None], by_link: bool
) -> None:
    make(tmp_path / "node")
    before = (tmp_path / "node").lstat()
    path = tmp_path / "node"
    if by_link:
        path = tmp_path / "link"
        path.symlink_to("node")
    with pytest.raises(OSError, match="not a regular file"):
        files.replace(path, "new")
    with pytest.raises(OSError, match="not a regular file"):
        files.rehearse(path, b"new", mode=0o600, owner=(os.getuid(), os.getgid()))
    after = (tmp_path / "node").lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert {one.name for one in tmp_path.iterdir()} == {"node", path.name}


# The kernel takes no byte beyond the limit: what a full disk does, without a disk to fill.
REPLACE_WITHIN_A_LIMIT = """
import resource, sys
from pathlib import Path
from swiftdeploy_tasks.system import files
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
folder, limit, *sizes = Path(sys.argv[1]), *map(int, sys.argv[2:])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    files.replace_all({folder / str(number): b"n" * size for number, size in enumerate(sizes)})
except OSError as error:
    sys.exit(error.errno)
"""


def replace_within(folder: Path, limit: int, *sizes: int) -> int:
    words = [sys.executable, "-c", REPLACE_WITHIN_A_LIMIT, str(folder), str(limit), *map(str, sizes)]
    return subprocess.run(words, timeout=30).returncode


@pytest.mark.parametrize(
    ("sizes", "code"),
    [((5000, 10), errno.EFBIG), ((10, 5000), errno.EFBIG), ((200_000, 10), errno.EFBIG), ((10, 20), 0)],
)
def test_on_a_full_disk_the_old_files_stand_and_nothing_is_left_beside_them(
    tmp_path: Path, sizes: tuple[int, int], code: int
) -> None:
    for name in ("0", "1"):
        (tmp_path / name).write_text("old")
    assert replace_within(tmp_path, 4096, *sizes) == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    wanted = ["old", "old"] if code else ["n" * size for size in sizes]
    assert [(tmp_path / name).read_text() for name in ("0", "1")] == wanted


def test_a_rehearsal_leaves_nothing_behind_and_fails_as_the_real_thing_would(tmp_path: Path) -> None:
    me = (os.getuid(), os.getgid())
    (tmp_path / "file").write_text("old")
    files.rehearse(tmp_path / "file", b"new", mode=0o600, owner=me)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(FileNotFoundError):
        files.rehearse(tmp_path / "no" / "file", b"new", mode=0o600, owner=me)


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from swiftdeploy_tasks.system import files
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
files.replace(Path(sys.argv[1]), "half", mode=0o600)
"""


def killed_while_writing(path: Path) -> list[str]:
    """What is in the folder after a writer of `path` was killed."""
    words = [sys.executable, "-c", WRITE_AND_DIE, str(path)]
    assert subprocess.run(words, timeout=30).returncode == -9
    return sorted(one.name for one in path.parent.iterdir())


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    assert len(killed_while_writing(tmp_path / "file")) == 2
    assert (tmp_path / "file").read_text() == "old"
    assert len(killed_while_writing(tmp_path / "file")) == 2
    files.replace(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "new"


def test_what_killed_writers_left_beside_these_files_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in ("one", "two", "kept"):
        killed_while_writing(tmp_path / name)
    (tmp_path / ".hidden").touch()
    (tmp_path / "new").touch()
    files.sweep(tmp_path, ("one", "two"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", ".kept.swiftdeploy-new", "new"]


WRITE_MANY = """
import sys
from pathlib import Path
from swiftdeploy_tasks.system import files
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
for _ in range(150):
    files.replace(Path(sys.argv[1]), sys.argv[2] * 200_000 + "END")
"""


def test_of_two_who_write_one_file_at_once_each_writes_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    words = [[sys.executable, "-c", WRITE_MANY, str(path), letter] for letter in "ab"]
    writers = [subprocess.Popen(one) for one in words]
    whole = {f"{letter * 200_000}END" for letter in "ab"}
    seen: set[bool] = set()
    while any(writer.poll() is None for writer in writers):
        files.sweep(tmp_path)
        if path.exists():
            seen.add(path.read_text() in whole)
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert seen == {True}
    assert [one.name for one in tmp_path.iterdir()] == ["report.md"]


WRITE_AND_WAIT = """
import os, sys
from pathlib import Path
from swiftdeploy_tasks.system import files
from swiftdeploy_tasks.engines.local.local_engine import LocalEngine
sync = os.fsync
def held(fd):
    os.fsync = sync
    print("written", flush=True)
    input()
os.fsync = held
files.replace(Path(sys.argv[1]), "slow")
"""


def test_what_a_living_writer_has_written_is_neither_swept_nor_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    words = [sys.executable, "-c", WRITE_AND_WAIT, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout and writer.stdin
        assert writer.stdout.readline() == "written\n"
        files.sweep(tmp_path)
        killed_while_writing(path)
        assert len(list(tmp_path.iterdir())) == 2
        files.replace(path, "quick")
        assert path.read_text() == "quick"
        files.sweep(tmp_path, ("file",))
        writer.stdin.write("\n")
        writer.stdin.close()
        assert writer.wait(timeout=30) == 0
    assert path.read_text() == "slow"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_nothing_is_written_through_a_link_in_the_place_of_the_new_file(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "file")
    (beside,) = tmp_path.iterdir()
    beside.unlink()
    beside.symlink_to(tmp_path / "elsewhere")
    files.replace(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_last_lines_of_a_huge_file_are_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\n")
    tracemalloc.start()
    try:
        assert files.last_lines(path, 2, most=4096) == ("last but one", "last")
        assert LocalEngine(tmp_path, tmp_path / "state").logs("app-blue") == ()
        (tmp_path / "state" / "logs").mkdir(parents=True)
        path.rename(tmp_path / "state" / "logs" / "app-blue.log")
        assert LocalEngine(tmp_path, tmp_path / "state").logs("app-blue", lines=1) == ("last",)
        assert tracemalloc.get_traced_memory()[1] < 1 << 23
    finally:
        tracemalloc.stop()


def test_the_last_lines_begin_with_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("first\nsecond\nthird\n")
    assert files.last_lines(path, 9, most=9) == ("third",)
    assert files.last_lines(path, 9, most=99) == ("first", "second", "third")
    assert files.last_lines(path, 1, most=3) == ("rd",)
    assert files.last_lines(tmp_path / "none", 1, most=3) == ()
