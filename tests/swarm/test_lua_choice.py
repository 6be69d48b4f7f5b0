"""Which place a script runs in; told apart by what only a child does: it is a process."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest

from swarm.lua.choice import ChosenScripts, Trust, script_digest
from swarm.lua.pool import PooledScripts
from swarm.ports.scripts import Script

WORKER = Script("w.lua", "return 1")
AUTHOR = Script("b.lua", "return require('part')")
PART = "return { n = 2 }"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name every script that a child was asked to run."""
    names: list[str] = []
    run, author = PooledScripts.run, PooledScripts.author

    async def noted_run(self: PooledScripts, script: Script, *args: object, **kw: object) -> object:
        names.append(script.name)
        return await run(self, script, *args, **kw)  # pyright: ignore[reportArgumentType]

    async def noted_author(self: PooledScripts, script: Script, **kw: object) -> object:
        names.append(script.name)
        return await author(self, script, **kw)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(PooledScripts, "run", noted_run)
    monkeypatch.setattr(PooledScripts, "author", noted_author)
    return names


@pytest.mark.parametrize(
    ("trust", "listed", "expected"),
    [
        ("pool", (), ["w.lua"]),
        ("pool", (script_digest(WORKER.source),), []),
        ("pool", (script_digest("another"),), ["w.lua"]),
        ("inline", (), []),
    ],
)
async def test_a_worker_script_runs_in_a_child_unless_it_is_listed_or_all_are_trusted(
    ran: list[str], trust: Trust, listed: tuple[str, ...], expected: list[str]
) -> None:
    scripts = ChosenScripts(trust, listed)
    assert await scripts.run(WORKER, None) == 1
    assert scripts.syntax_error(WORKER) is None
    assert ran == expected
    await scripts.aclose()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ((), ["b.lua"]),
        ((AUTHOR.source,), ["b.lua"]),
        ((AUTHOR.source, PART), []),
    ],
)
async def test_a_blueprint_script_runs_in_process_only_with_all_that_it_requires(
    ran: list[str], tmp_path: Path, listed: tuple[str, ...], expected: list[str]
) -> None:
    (tmp_path / "part.lua").write_text(PART)
    scripts = ChosenScripts("pool", [script_digest(source) for source in listed])
    assert await scripts.author(AUTHOR, folder=tmp_path) == {"n": 2}
    assert ran == expected
    await scripts.aclose()


async def test_a_listed_blueprint_script_may_require_the_standard_library(ran: list[str]) -> None:
    script = Script("b.lua", "return require('flow').fn('f').kind")
    scripts = ChosenScripts("pool", [script_digest(script.source)])
    assert await scripts.author(script, folder=None) == "function"
    assert ran == []


def test_the_digest_of_a_file_is_what_every_tool_says() -> None:
    text = "return 'é'"
    assert script_digest(text) == hashlib.sha256(text.encode()).hexdigest()
    assert script_digest(text.encode()) == script_digest(text)


def test_the_runner_serves_one_loop_after_the_other() -> None:
    async def main() -> object:
        found = await scripts.run(WORKER, None)
        await scripts.aclose()
        return found

    scripts = ChosenScripts()
    assert [anyio.run(main), anyio.run(main, backend="trio")] == [1, 1]
