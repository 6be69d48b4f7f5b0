"""The wheel, installed into another folder: it brings its Lua and its grammars along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's packages; what it depends on is this interpreter's."""
    dist = tmp_path_factory.mktemp("dist")
    target = tmp_path_factory.mktemp("target")
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(dist), cwd=ROOT)
    (wheel,) = dist.glob("lua_swarm-*.whl")
    shutil.unpack_archive(wheel, target, "zip")
    return target


def _python(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603  our own interpreter
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_it_runs_a_blueprint_in_another_folder(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "blueprints", tmp_path / "mine")
    script = "import swarm.cli.main as m, sys; print(m.__file__, file=sys.stderr); m.main()"
    done = _python(
        *("-c", script, "run", "review.lua", "--input", "@data/review.json", "--json"),
        cwd=tmp_path / "mine",
        env={"PYTHONPATH": str(installed)},
    )
    assert done.stderr.startswith(str(installed))
    assert json.loads(done.stdout)["ctx"]["verdict"] == "PASS"


def test_it_holds_the_command_and_every_file_of_its_packages(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "swarm = swarm.__main__:main" in entry_points.read_text("utf-8")
    for package in ("flowir", "swarm", "lua_stdlib"):
        for file in (ROOT / package).rglob("*.*"):
            if file.is_file() and file.suffix != ".pyc":
                assert (installed / file.relative_to(ROOT)).is_file(), file
