"""Looking for a program in PATH, as a user who may not look into all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# It gives up the rights of root, which may look everywhere, once all is imported.
CODE = """
import errno, os, sys, warnings  # which the search of the library imports
from swarm.workers.process.execute import execute
how, argv = sys.argv[1], sys.argv[2:]
env = {"PATH": os.environ["LOOK_IN"]}
if argv[-1] == "much": argv[-1] = "x" * 200_000
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    execute(argv, env) if how == "ours" else os.execvpe(argv[0], argv, env)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def said(folders: list[Path], how: str, *argv: str) -> str:
    path = ":".join([*map(str, folders), "/usr/bin", "/bin"])
    done = subprocess.run(  # noqa: S603 - the test's own code
        [sys.executable, "-c", CODE, how, *argv],
        env={"LOOK_IN": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr.strip()


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    folder = tmp_path / "hidden"
    folder.mkdir(mode=0o000)
    return folder


@pytest.mark.parametrize(
    ("argv", "expected", "of_the_library"),
    [
        (["no-such-program"], "ENOENT", "EACCES"),
        (["true", "much"], "E2BIG", "EACCES"),
        (["echo", "found"], "found", "found"),
    ],
)
def test_a_folder_that_is_hidden_holds_nothing(
    hidden: Path, argv: list[str], expected: str, of_the_library: str
) -> None:
    """The control: the library's search names the folder instead."""
    assert said([hidden], "ours", *argv) == expected
    assert said([hidden], "library", *argv) == of_the_library
    assert said([], "ours", *argv) == expected, "the twin: nothing is hidden"


def test_a_file_that_is_there_and_no_program_is_denied() -> None:
    with TemporaryDirectory(dir="/tmp") as seen:
        folder = Path(seen)
        folder.chmod(0o755)
        (folder / "plain").write_text("no program")
        (folder / "plain").chmod(0o644)
        assert said([folder], "ours", "plain") == "EACCES"
