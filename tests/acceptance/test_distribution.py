"""A distribution of somebody else's, installed by pip: its worker, its layer and its store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "swarm-acme"
version = "1.0"

[project.entry-points."swarm.workers"]
echo = "acme_parts:Echo"
[project.entry-points."swarm.layers"]
loud = "acme_parts:LOUD"
[project.entry-points."swarm.stores"]
acme = "acme_parts:Store"
broken = "acme_parts:nothing"

[tool.hatch.build.targets.wheel]
only-include = ["acme_parts.py"]
"""
MODULE = '''
from swarm import Outcome
from swarm.host.parts import Parts
from swarm.ports.layer import LayerFactory, LayerParams


class Echo:
    kind = "echo"
    fields = required = frozenset()

    def problems(self, agent, tools):
        return ()

    def build(self, agent, tools):
        async def echo(call, link):
            return Outcome(f"echo of {call.input}")

        return echo


class Loud:
    def __init__(self, params, site):
        pass

    async def __call__(self, call, next):
        outcome = await next(call)
        return outcome._replace(value=outcome.value.upper())


LOUD = LayerFactory("loud", 50, LayerParams, Loud)


class Store:
    """Keeps its state in a folder of its own, so that what it kept can be looked for."""

    scheme = "acme"

    def open(self, address):
        return Parts.at(f"kept-{address}", "normal")
'''
BLUEPRINT = """
local flow = require "flow"
local echo = flow.agent "echo" { kind = "echo", layers = { "loud" } }
return flow.blueprint {
  id = "acme", agents = { echo }, flow = function(ctx) ctx.said = echo(ctx.name) end,
}
"""
PROGRAM = """
import anyio, swarm

async def main():
    host = swarm.Host("acme://two")
    for name in ("Ada", "Bob"):
        async with host:
            await host.blueprints.register("acme.lua", author="ada")
            run = await host.start("acme", {"name": name}, run_id=name)
            print((await run.result())["said"], len(await host.runs()))
    try:
        swarm.Host("acmee://x")
    except swarm.Refused as refused:
        print(refused.code, refused)
    try:
        swarm.Host("broken://x")
    except swarm.Refused as refused:
        print(refused.code, refused)

anyio.run(main)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the distribution."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "acme_parts.py").write_text(MODULE)
    # What builds it is here already: nothing is fetched.
    _done(
        "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
        "--disable-pip-version-check", "--target", str(target), str(source),
        cwd=source, path=source,
    )  # fmt: skip
    return target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.lua").write_text(BLUEPRINT)
    return tmp_path


def _done(*arguments: str, cwd: Path, path: Path) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": f"{path}:{ROOT}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_line_finds_worker_layer_and_store(installed: Path, folder: Path) -> None:
    swarm = ("-c", "from swarm.cli.main import main; main()")
    said = _done(
        *(*swarm, "run", "acme.lua", "--set", "name=Ada", "--store", "acme://one"),
        cwd=folder, path=installed,
    )  # fmt: skip
    assert json.loads(said) == {"name": "Ada", "said": "ECHO OF ADA"}
    assert (folder / "kept-one").is_dir()
    assert not (folder / "acme:").exists()


def test_a_host_is_opened_twice_over_a_store_of_its_kind(installed: Path, folder: Path) -> None:
    said = _done("-c", PROGRAM, cwd=folder, path=installed).splitlines()
    assert said[:2] == ["ECHO OF ADA 1", "ECHO OF BOB 2"]
    assert said[2] == (
        "store.kind store: expected a folder, or a kind of store that is installed, "
        "got 'acmee://' — did you mean 'acme'?"
    )
    assert said[3].startswith("store.kind store: broken:// cannot be loaded: acme_parts:nothing: ")
