"""The README: short, and true."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.cli.main import COMMANDS, invoke

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")


def _block(info: str, number: int = 0) -> str:
    return TEXT.split(f"```{info}\n")[number + 1].split("```")[0]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SWARM_STORE", str(tmp_path / "state"))


def test_it_has_less_than_120_lines_and_shows_a_run_by_line_30() -> None:
    lines = TEXT.splitlines()
    assert len(lines) < 120
    assert '"loud": "HELLO, ADA!"' in "\n".join(lines[:31])


def test_its_first_blueprint_is_the_one_in_the_repository() -> None:
    assert _block("lua") == (ROOT / "blueprints/hello.lua").read_text("utf-8")


def test_its_first_command_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    command, output = _block("console").split("\n", 1)
    assert invoke(shlex.split(command)[2:]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(output)


def test_its_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(_block("python"), "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
    assert "HELLO, ADA!" in capsys.readouterr().out


def test_its_mistake_is_reported_as_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, output = _block("console", 1).split("\n", 1)
    script = [
        'local flow = require "flow"',
        'local reviewer = flow.lua "reviewer" [[ return input ]]',
        *["-- the flow"] * 9,
        "return flow.blueprint {",
        '  id = "review", agents = { reviewer },',
        '  flow = flow.seq { flow.step { agent = reviewer }, flow.step { agent = "revewer" } },',
        "}",
    ]
    (tmp_path / "review.lua").write_text("\n".join(script))
    monkeypatch.chdir(tmp_path)
    assert invoke(["check", "review.lua"]) == 2
    assert capsys.readouterr().out == output


def test_it_names_every_command() -> None:
    for name in COMMANDS:
        assert re.search(rf"`swarm {name} (BLUEPRINT|…)", TEXT)


def test_what_it_says_to_try_is_tried() -> None:
    """`make test` is what runs this; of it make tells the command, and does not start it again."""
    demo, test = (_made(line) for line in _block("sh").splitlines())
    assert json.loads(demo)["verdict"] == "PASS"
    assert "-m pytest" in test


_MAKES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")


def _made(line: str) -> str:
    """Run a line of make with this interpreter, where everything is installed already.

    It is nobody's sub-make, also where `make test` runs this: that would tell its folder too.
    """
    make, target = shlex.split(line, comments=True)
    again = ("--dry-run",) if target == "test" else ()
    environment = {name: text for name, text in os.environ.items() if name not in _MAKES}
    done = subprocess.run(  # noqa: S603 - our own makefile
        [make, target, *again, f"VENV={sys.prefix}", "-o", f"{sys.prefix}/installed"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
