"""What only children do: end in time, die and be replaced, leave nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from swarm.errors import ScriptFailed
from swarm.lua import process
from swarm.lua.pool import PooledScripts
from swarm.lua.process import ScriptProcess
from swarm.ports.scripts import Script, ScriptLimits

HOST = Path(__file__).parents[1] / "lua" / "pool_host.py"
ROOT = Path(__file__).parents[2]
# C goes through zeros one by one: 18 million are one instruction, and no hook looks at a few.
ZEROS = "local z = ('\\0'):rep(6000000) local a = z .. z .. z local b = a .. 'b' "
ENDLESS = Script("p.lua", ZEROS + "while true do local _ = a < b end")
ONE = Script("a.lua", "return 1")
SHORT = ScriptLimits(seconds=0.2)
JUST_DONE = "say(b'done')"
SERVE = """
import os
from struct import pack
def frame(*fields):
    body = bytes([len(fields)]) + b"".join(pack("<I", len(f)) + f for f in fields)
    return pack("<I", len(body)) + body
def say(*fields):
    os.write(1, frame(*fields))
say(b"ready", b"limits")
os.read(0, 65536)
{0}
os.read(0, 65536)
"""


@pytest.fixture
async def pool() -> AsyncIterator[PooledScripts]:
    pool = PooledScripts()
    yield pool
    await pool.aclose()


async def failure(
    pool: PooledScripts, script: Script, limits: ScriptLimits = SHORT
) -> ScriptFailed:
    with pytest.raises(ScriptFailed) as e:
        await pool.run(script, None, limits=limits)
    return e.value


def gone(pid: int) -> bool:
    """Whether the process is neither there nor left to be reaped by us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def strike(pid: int) -> None:
    """End a child and wait for it, without reaping it."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def ended(pid: int) -> bool:
    """Whether a process that is not our child has ended: it may wait for its new parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_loads_nothing_that_is_slow_to_load() -> None:
    """`collections` and `functools` come with lupa."""
    loads = "import sys; sys.path += sys.argv[1:]; import swarm.lua.child; print(*sys.modules)"
    roots = process._roots()  # pyright: ignore[reportPrivateUsage]
    told = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-I", "-S", "-c", loads, *roots],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    loaded = set(told.stdout.split())
    assert "swarm.lua.sandbox" in loaded
    assert not loaded & {"typing", "enum", "re", "importlib", "signal", "dataclasses", "pathlib"}
    assert not {name for name in loaded if name.startswith("swarm.") and "lua" not in name}


async def test_a_call_that_nothing_stops_ends_with_its_process(pool: PooledScripts) -> None:
    failed = await failure(pool, ENDLESS)
    assert failed.code == "script.deadline"
    assert str(failed) == "p.lua: its process was ended after 0.2 s"
    assert await pool.run(ONE, None) == 1


async def test_time_spent_waiting_for_the_host_is_not_the_scripts(pool: PooledScripts) -> None:
    async def slow() -> None:
        await anyio.sleep(0.05)

    script = Script("a.lua", "for _ = 1, 8 do swarm.slow() end return 'in time'")
    assert await pool.run(script, None, host={"slow": slow}, limits=SHORT) == "in time"


async def test_a_child_that_dies_is_the_scripts_failure_and_is_replaced(
    pool: PooledScripts,
) -> None:
    async def strike() -> None:
        for pid in pool.children.pids:
            os.kill(pid, signal.SIGSEGV)

    with pytest.raises(ScriptFailed) as e:
        await pool.run(Script("a.lua", "swarm.strike()"), None, host={"strike": strike})
    assert e.value.code == "script.crashed"
    assert str(e.value) == "a.lua: its process was ended by SIGSEGV"
    assert await pool.run(ONE, None) == 1


async def test_a_child_that_somebody_else_started_is_the_first(pool: PooledScripts) -> None:
    started = ScriptProcess()
    pool.children.adopt(started)
    assert await pool.run(ONE, None) == 1
    assert (pool.children.pids, started.runs) == ((started.pid,), 1)


async def test_a_quick_reply_is_waited_for_in_place_until_one_takes_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[int] = []
    by_loop = anyio.wait_readable

    async def counted(descriptor: int) -> None:
        waits.append(descriptor)
        await by_loop(descriptor)

    monkeypatch.setattr(process, "_AT_ONCE_S", 20.0)
    pool = PooledScripts(warm=1)
    await pool.run(ONE, None)
    monkeypatch.setattr(anyio, "wait_readable", counted)
    await pool.run(ONE, None)
    assert waits == []
    with monkeypatch.context() as slow:
        slow.setattr(process, "_SELECTED", 0)  # nothing is at once
        await pool.run(ONE, None)
    for number in range(1, 17):
        assert len(waits) >= number
        await pool.run(ONE, None)
    before = len(waits)
    await pool.run(ONE, None)
    assert len(waits) == before
    await pool.aclose()


async def test_a_child_that_died_idle_is_nobodys_failure(pool: PooledScripts) -> None:
    await pool.run(ONE, None)
    for pid in pool.children.pids:
        strike(pid)
    assert await pool.run(ONE, None) == 1
    assert pool.syntax_error(ONE) is None


async def test_cancelling_ends_the_child_at_once(pool: PooledScripts) -> None:
    pids: list[int] = []

    async def told() -> None:
        pids.extend(pool.children.pids)
        scope.deadline = anyio.current_time() + 0.1  # when it computes again

    with anyio.fail_after(30), anyio.CancelScope() as scope:
        script = Script("a.lua", "swarm.told() " + ENDLESS.source)
        await pool.run(script, None, host={"told": told}, limits=ScriptLimits(seconds=60))
    assert [gone(pid) for pid in pids] == [True]


async def test_children_are_warm_and_reused(pool: PooledScripts) -> None:
    for _ in range(8):
        await pool.run(ONE, None)
    pids = set(pool.children.pids)
    assert len(pids) == 2
    for _ in range(8):
        await pool.run(ONE, None)
    assert set(pool.children.pids) == pids


async def test_a_child_is_replaced_after_a_thousand_scripts() -> None:
    pool = PooledScripts(warm=1)
    await pool.run(ONE, None)
    [first] = pool.children.pids
    for _ in range(998):
        await pool.run(ONE, None)
    assert pool.children.pids == (first,)
    await pool.run(ONE, None)
    [second] = pool.children.pids
    assert second != first
    assert gone(first)
    await pool.aclose()


async def test_closing_ends_all_whatever_they_do(pool: PooledScripts) -> None:
    """Two compute without end, one waits for the host."""
    pids: list[int] = []
    codes: list[str] = []
    begun = [anyio.Event() for _ in range(3)]

    async def begin(number: int) -> None:
        begun[number].set()
        pids[:] = pool.children.pids
        if number == 2:
            await anyio.sleep(0.05)

    async def work(number: int) -> None:
        script = Script("p.lua", f"swarm.begin({number}) {ENDLESS.source}")
        with pytest.raises(ScriptFailed) as e:
            await pool.run(script, None, host={"begin": begin}, limits=ScriptLimits(seconds=60))
        codes.append(e.value.code)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(work, number)
            await begun[number].wait()
        await pool.aclose()
    assert codes == ["script.crashed"] * 3
    assert len(pids) == 3
    assert all(gone(pid) for pid in pids)
    assert pool.children.pids == ()
    assert await pool.run(ONE, None) == 1


async def test_a_pool_that_nobody_closes_leaves_nothing() -> None:
    pool = PooledScripts()
    await pool.run(ONE, None)
    pids = pool.children.pids
    del pool
    gc.collect()
    assert all(gone(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_host_takes_its_children_with_it() -> None:
    host = subprocess.Popen(  # noqa: S603 - our own child
        [sys.executable, str(HOST)], stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )
    assert host.stdout is not None
    pids = [int(pid) for pid in host.stdout.readline().split()]
    host.kill()
    host.communicate()
    assert len(pids) == 2
    patience = time.monotonic() + 10
    while not all(map(ended, pids)):
        assert time.monotonic() < patience, "a child outlived its host"
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_child_has_no_environment_no_file_and_a_session_of_its_own(
    pool: PooledScripts,
) -> None:
    await pool.run(ONE, None)
    [pid] = pool.children.pids
    check_bare(pid)


def check_bare(pid: int) -> None:
    assert os.getsid(pid) == pid
    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return  # It is not dumpable: only root may look.
    assert environment == b""
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"


@pytest.mark.parametrize(
    "lie",
    [
        "os.write(1, b'\\xff\\xff\\xff\\xff')",
        "os.write(1, b'\\x01\\x00\\x00\\x00\\x03')",
        JUST_DONE,
        "say(b'done', b'', b'')",
        "say(b'done', b'q', b'')",
        "say(b'done', b'1 1', b'')",
        "say(b'done', b'[' * 100000, b'')",
        "say(b'done', b'9' * 5000, b'')",
        "say(b'done', b'NaN', b'')",
        "say(b'done', b'[Infinity]', b'')",
        "say(b'done', b'[NaN,NaN]\\xffone', b'')",
        "say(b'done', b'NaN\\xff\\xc3', b'')",
        "say(b'done', b'NaN\\xff\\xed\\xa0\\x80', b'')",
        "say(b'done', b'{\"\\xc3\":1}', b'')",
        "say(b'done', bytes([34, 92]) + b'ud800' + bytes([34]), b'')",
        "say(b'failed', b'0', b'')",
        "say(b'failed', b'{}', b'')",
        "say(b'\\xff', b'null', b'')",
        "os.write(1, 2 * frame(b'done', b'null', b''))",
        "say(b'rubbish', b'null', b'')",
    ],
)
async def test_a_child_that_lies_is_ended(
    pool: PooledScripts, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("swarm.lua.process._BOOT", SERVE.format(lie))
        failed = await failure(pool, ONE)
        assert failed.code == "script.crashed"
        assert str(failed) == "a.lua: its process said what no script can say"
        found = pool.syntax_error(ONE)
        assert (found.code if found else None) == (None if lie == JUST_DONE else "script.crashed")
        await pool.aclose()
    assert await pool.run(ONE, None) == 1


async def test_a_child_that_asks_for_what_it_was_not_given_gets_nothing(
    pool: PooledScripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = "say(b'ask', b'[]', b'secret'); os.read(0, 99); os._exit(3)"
    monkeypatch.setattr("swarm.lua.process._BOOT", SERVE.format(lie))
    assert str(await failure(pool, ONE)) == "a.lua: its process ended with 3"


@pytest.mark.parametrize("boot", ["raise SystemExit(3)", "print('hello')"])
async def test_where_no_child_starts_the_operator_is_told(
    pool: PooledScripts, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    monkeypatch.setattr("swarm.lua.process._BOOT", boot)
    failed = await failure(pool, ONE)
    assert failed.code == "script.unavailable"
    assert "swarm doctor" in str(failed)
    found = pool.syntax_error(ONE)
    assert found is not None
    assert found.code == "script.unavailable"


async def test_without_a_python_to_start_the_operator_is_told(
    pool: PooledScripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert (await failure(pool, ONE)).code == "script.unavailable"
    monkeypatch.setattr(sys, "executable", "")
    assert (await failure(pool, ONE)).code == "script.unavailable"
