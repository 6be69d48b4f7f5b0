"""A tag that another process moves: new runs follow, running ones keep theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOST = """
import json, sys
import anyio
import swarm

async def main(folder):
    async with swarm.Host(folder, scripts="inline") as host:
        runs = {}
        for line in sys.stdin:
            word, name = line.split()
            if word == "start":
                runs[name] = await host.start("hello@prod", {}, run_id=name)
                async for event in runs[name].events():
                    if event["kind"] == "run.waiting":
                        break
                print(json.dumps("waits"), flush=True)
            else:
                (question,) = await runs[name].questions()
                await runs[name].answer(question.id, True)
                print(json.dumps((await runs[name].result())["said"]), flush=True)

anyio.run(main, sys.argv[1])
"""
SCRIPT = """
local flow = require "flow"
local ask = flow.ask "ok" {{ schema = {{ type = "boolean" }} }}
local say = flow.lua "say" {{ source = "return '{said}'" }}
return flow.blueprint {{ id = "hello", agents = {{ ask, say }},
  flow = function(ctx) ctx.ok = ask("go on?"); ctx.said = say() end }}
"""


class Serving:
    """A host in a process of its own."""

    def __init__(self, store: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", HOST, str(store)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def told(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "state").mkdir()
    register(tmp_path, "one")
    host = Serving(tmp_path / "state")
    yield host
    host.close()


def swarm(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", "from swarm.cli.main import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SWARM_STORE": str(folder / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def register(folder: Path, said: str) -> None:
    (folder / "hello.lua").write_text(SCRIPT.format(said=said))
    swarm(folder, "blueprint", "register", "hello.lua", "--tag", "prod")


def test_a_tag_that_another_process_moves_counts_for_new_runs(
    tmp_path: Path, serving: Serving
) -> None:
    assert serving.told("start first") == "waits"
    register(tmp_path, "two")
    assert serving.told("start second") == "waits"
    assert serving.told("answer first") == "one"
    assert serving.told("answer second") == "two"
    swarm(tmp_path, "blueprint", "tag", "hello@1.0.0", "prod")
    swarm(tmp_path, "blueprint", "gc")
    assert serving.told("start third") == "waits"
    assert serving.told("answer third") == "one"
