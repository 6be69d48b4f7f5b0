"""docs/enhance.md: its programs do what the page says, and its table of axes is whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.enhance.canary import Canary
from swarm.enhance.verdicts import AXES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/enhance.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def ran(program: str, folder: Path) -> str:
    (folder / "blueprints").symlink_to(ROOT / "blueprints")
    for script in blocks("lua"):
        name = re.match(r"-- (\w+\.lua)\n", script)
        assert name is not None
        (folder / name[1]).write_text(script)
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


def test_an_issue_is_applied(tmp_path: Path) -> None:
    assert ran(blocks("python")[0], tmp_path) == "applied\n"


def test_a_bad_canary_is_taken_back_by_itself(tmp_path: Path) -> None:
    (program,) = [one for one in blocks("python") if "CANARY" in one]
    (shown,) = [one for one in blocks("text") if "is at the head again" in one]
    assert ran(program, tmp_path) == shown


def test_the_table_of_axes_is_the_one_that_must_pass() -> None:
    table = re.search(r"^\| axis \| passes where \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.M)
    assert table is not None
    assert tuple(re.findall(r"^\| `(\w+)`", table[1], re.M)) == AXES


@pytest.mark.parametrize("name", list(Canary.model_fields))
def test_every_setting_of_a_canary_is_explained(name: str) -> None:
    assert re.search(rf"^\|.*`{name}`.*\|", TEXT, re.M)
