"""docs/enhance.md: its programs do what the page says, and its table of axes is whole."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from swarm.enhance.canary import Canary
from swarm.enhance.verdicts import AXES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/enhance.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the project of the page, and work in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_STORE", raising=False)
    (tmp_path / "blueprints").symlink_to(ROOT / "blueprints")
    for script in blocks("lua"):
        name = re.match(r"-- (\w+\.lua)\n", script)
        assert name is not None
        (tmp_path / name[1]).write_text(script)
    (settings,) = blocks("toml")
    (tmp_path / "swarm.toml").write_text(settings)
    return tmp_path


def ran(program: str, folder: Path) -> str:
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands() -> list[tuple[str, list[str]]]:
    """Return the commands of the page, each with lines that it prints, in their order."""
    (block,) = blocks("console")
    parts = re.split(r"^\$ swarm ", block, flags=re.MULTILINE)[1:]
    return [(part.split("\n")[0], part.split("\n")[1:-1]) for part in parts]


def expect_shown(shown: list[str], out: str) -> None:
    """Expect the page's lines among those that were printed; a … stands for anything."""
    lines = iter(out.splitlines())
    for line in shown:
        wanted = re.compile(re.escape(line).replace("…", ".*"))
        assert any(wanted.fullmatch(one) for one in lines), f"{line!r} is not in {out}"


def test_an_issue_is_applied(folder: Path) -> None:
    assert ran(blocks("python")[0], folder) == "applied\n"


def test_five_issues_end_as_the_page_says_and_then_a_bad_canary_is_taken_back(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["test", "triage.lua"]) == 1
    assert "6 passed, 4 failed" in capsys.readouterr().out
    states = Counter[int]()
    for command, shown in commands():
        code = invoke(shlex.split(command))
        out = capsys.readouterr().out
        expect_shown(shown, out)
        if command.startswith("enhance submit"):
            states[code] += 1
    assert states == {0: 3, 1: 2}
    assert invoke(["test", "triage.lua"]) == 1, "the file is its author's, and as it was"
    (program,) = [one for one in blocks("python") if "canary" in one]
    (told,) = [one for one in blocks("text") if "is at the head again" in one]
    assert ran(program, folder) == told


def test_the_table_of_axes_is_the_one_that_must_pass() -> None:
    table = re.search(r"^\| axis \| passes where \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.M)
    assert table is not None
    assert tuple(re.findall(r"^\| `(\w+)`", table[1], re.M)) == AXES


@pytest.mark.parametrize("name", list(Canary.model_fields))
def test_every_setting_of_a_canary_is_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`.*\|", TEXT, re.M)
