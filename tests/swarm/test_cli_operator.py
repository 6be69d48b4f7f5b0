"""`swarm operator connect`, as a process of its own against a host on a port."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from swarm import RunFailed
from swarm.cli.main import invoke
from swarm.operators.cases import Tell
from swarm.operators.frames import Settled
from tests.swarm.operating import House, house, until

pytestmark = pytest.mark.anyio

SWARM = [sys.executable, "-c", "from swarm.cli.main import main; main()"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def connected(
    one: House, folder: Path, *options: str, stdin: Any = subprocess.DEVNULL, stderr: Any = None
) -> AsyncGenerator[Process]:
    file = folder / "ada.token"
    file.write_text(one.token("ada") + "\n")
    url = f"http://127.0.0.1:{one.port}"
    argv = [*SWARM, "operator", "connect", url, "--name", "ada"]
    argv += ["--token-file", str(file), "--seat", "reviewer", *options]
    process = await anyio.open_process(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
    try:
        await until(lambda: bool(one.operators.sessions), 60)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            code = await process.wait()
        await process.aclose()
        assert code == 130


def python(source: str) -> str:
    return f"{sys.executable} -c '{source}'"


async def test_a_command_does_orders_and_its_failure_is_the_steps(tmp_path: Path) -> None:
    source = (
        "import json, sys, os; order = json.load(sys.stdin); "
        'assert os.environ["SWARM_KEY"] == order["key"]; assert "token" not in order; '
        'sys.exit("cannot") if order["input"] == 0 else None; '
        'print(json.dumps({"twice": order["input"] * 2}))'
    )
    async with house() as one, connected(one, tmp_path, "--exec", python(source)):
        assert await one.ask(21) == {"twice": 42}
        with pytest.raises(RunFailed) as caught:
            await one.ask(0)
        assert caught.value.error["cause_code"] == "operator.exec"
        assert "cannot" in caught.value.error["message"]
        assert await one.ask(4) == {"twice": 8}


async def test_a_command_that_is_not_wanted_any_more_is_ended_with_its_children(
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    source = (
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '600']); "
        f"open('{pids}', 'w').write(f'{{os.getpid()}} {{child.pid}} '); time.sleep(600)"
    ).replace("'", '"')
    async with house() as one, connected(one, tmp_path, "--exec", python(source)):
        run = await one.host.start(await one.load(), {"given": 1})
        await until(lambda: pids.exists() and pids.read_text().endswith(" "), 60)
        await run.cancel("enough")
        for pid in map(int, pids.read_text().split()):
            await until(lambda at=pid: not _lives(at), 30)


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def test_a_person_answers_at_the_terminal(tmp_path: Path) -> None:
    async with house() as one, connected(one, tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        await process.stdin.send(b"maybe\nbl\n")
        assert await one.ask(agent={"verdict": ["PASS", "BLOCKED"]}) == "BLOCKED"
        await process.stdin.send(b'{"n": 1}\n')
        assert await one.ask() == {"n": 1}


async def test_what_was_half_typed_for_an_order_that_is_gone_answers_no_other(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()
    said = tmp_path / "said"
    with said.open("wb") as stderr:
        async with house() as one, connected(one, tmp_path, stdin=theirs, stderr=stderr):
            run = await one.host.start(await one.load(), {"given": 1})
            await until(lambda: said.read_text().endswith("answer> "), 60)
            os.write(ours, b"half")
            await run.cancel("enough")
            why = "the host does not need it any more"
            told = f"answer> \n! {run.id}/$/1: cancelled: {why}\n"
            await until(lambda: said.read_text().endswith(told), 60)
            run = await one.host.start(await one.load(), {"given": 2})
            await until(lambda: said.read_text().endswith("answer> "), 60)
            os.write(ours, b"whole\n")
            with anyio.fail_after(60):
                assert (await run.result())["out"] == "whole"
            late = Settled(key=f"{run.id}/$/1", outcome="stale")
            one.operators.desk.acts += [Tell(at, late) for at in one.operators.sessions]
            one.operators.carry()
            told = f"! {late.key}: too late: the step was over, and nothing happened\n"
            await until(lambda: said.read_text().endswith(told), 60)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--token-file", "nowhere"], "expected a file with a token"),
        (["--token-file", "t", "--exec", ""], "expected a command"),
        (["--token-file", "t", "--exec", "'"], "expected a command"),
        (["--token-file", "t", "--exec", "no-such-program x"], "got 'no-such-program'"),
        (["--token-file", "t", "--capacity", "2"], "expected 1 at a terminal"),
        (["--token-file", "t", "--capacity", "0"], "capacity"),
        (["--token-file", "t", "--hand-token"], "expected --exec CMD beside it"),
    ],
)
def test_wrong_use_is_told(
    options: Sequence[str], said: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t").write_text("token")
    code = invoke(["operator", "connect", "ws://127.0.0.1:1", "--name", "ada", *options])
    assert (code, said in capsys.readouterr().err) == (2, True)


async def test_a_token_that_does_not_hold_ends_with_4(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("v1.nothing")
    async with house() as one:
        argv = [*SWARM, "operator", "connect", one.url]
        options = ["--name", "ada", "--token-file", str(tmp_path / "t")]
        done = await anyio.run_process([*argv, *options], check=False, env=dict(os.environ))
        assert done.returncode == 4
        assert b"capability.unauthenticated" in done.stderr
        assert json.dumps("v1.nothing").encode() not in done.stderr


async def test_an_operator_whom_nobody_answers_is_told_once_and_goes_on_trying(
    tmp_path: Path,
) -> None:
    (tmp_path / "t").write_text("v1.nothing")
    said = tmp_path / "said"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    argv = [*SWARM, "operator", "connect", f"ws://127.0.0.1:{port}", "--name", "ada"]
    argv += ["--token-file", str(tmp_path / "t"), "--exec", "true"]
    with said.open("wb") as stderr:
        process = await anyio.open_process(argv, stdout=subprocess.DEVNULL, stderr=stderr)
        told = f"no line to ws://127.0.0.1:{port}/operators: connection refused, trying again\n"
        try:
            await until(lambda: said.read_text() == told, 60)
        finally:
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(20):
                assert await process.wait() == 130
            await process.aclose()
    assert said.read_text().removeprefix(told).strip() == "interrupted"
