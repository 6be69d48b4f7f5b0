"""The fault list of programs: each is survived, and its benign twin, one change away, passes.

`E1` to `E36`, each a function that raises where it was not survived. At the end stands how
many were survived of those tried; a planted bug must turn some of them red.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm
from flowir import WorkerFailure
from flowir.report import member
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Call, Toolbox
from swarm.workers.process import nursery, order, tree
from swarm.workers.process.child import Child, Launch, Patience
from swarm.workers.process.environment import MARK
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.limits import Limits
from tests.swarm.programs import (
    Shop,
    descriptors,
    idle,
    is_alive,
    literal,
    open_shop,
    python,
    sh,
    until,
)

pytestmark = pytest.mark.anyio

QUICK = Patience(grace_s=0.2, drain_s=0.3)
STEPS = int(os.environ.get("SWARM_PROCESS_STEPS", "150"))

Fault = Callable[[Shop], Awaitable[None]]
FAULTS: dict[str, Fault] = {}
TWINS: dict[str, Fault] = {}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def fault(name: str) -> Callable[[Fault], Fault]:
    def register(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return register


def twin(name: str) -> Callable[[Fault], Fault]:
    def register(function: Fault) -> Fault:
        TWINS[name] = function
        return function

    return register


def expect(true: bool, what: Any) -> None:
    assert true, what


def pids_in(folder: Path) -> list[int]:
    return [int(text) for file in folder.glob("*.pid") if (text := file.read_text().strip())]


async def cancelled_when(shop: Shop, ready: Callable[[], bool], argv: list[str]) -> None:
    """Cancel a step once something is so."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shop.ask, argv)
        await until(ready)
        tasks.cancel_scope.cancel()


def folder_of(shop: Shop) -> Path:
    assert shop.folder is not None
    return shop.folder


# -- talking -------------------------------------------------------------------------------


@fault("E1")
async def both_directions_at_once(shop: Shop) -> None:
    """It writes 7 MB before it reads 10 MB."""
    script = "import sys; sys.stdout.write('x' * 7_000_000); print(len(sys.stdin.read()))"
    said = await shop.value(python(script), "y" * 10_000_000)
    expect(said == "x" * 7_000_000 + "10000000", len(said))


@fault("E2")
async def endless_stdout(shop: Shop) -> None:
    error = await shop.failure(["yes"])
    expect(error.code == "process.output_limit", error)


@twin("E2")
async def just_enough_stdout(shop: Shop) -> None:
    most = 8 * 1024 * 1024
    said = await shop.value(python(f"print('x' * {most}, end='')"))
    expect(len(said) == most, len(said))


@fault("E3")
async def endless_stderr(shop: Shop) -> None:
    script = "import sys; sys.stderr.write('e' * 30_000_000 + 'end'); print('fine')"
    expect(await shop.value(python(script)) == "fine", "stdout")
    error = await shop.failure(python(script + "; sys.exit(1)"))
    kept = error.data["stderr"]
    expect(len(kept) == 64 * 1024 and kept.endswith("eend"), len(kept))


@fault("E4")
async def a_line_of_five_megabytes(shop: Shop) -> None:
    script = "print('{\"a\": \"' + 'x' * 5_000_000 + '\"}')"
    error = await shop.failure(python(script), output="ndjson")
    expect(error.code == "process.line_limit", error)


@twin("E4")
async def a_line_of_half_a_megabyte(shop: Shop) -> None:
    script = "print('{\"a\": \"' + 'x' * 500_000 + '\"}')"
    said = await shop.value(python(script), output="ndjson")
    expect(len(said["a"]) == 500_000, said)


@fault("E5")
async def no_newline_at_the_end(shop: Shop) -> None:
    said = await shop.value(["printf", '{{"n": 1}}\n{{"n": 2}}'], output="ndjson", result="all")
    expect(said == [{"n": 1}, {"n": 2}], said)
    expect(await shop.value(["printf", "a\nb"], output="lines") == "b", "lines")


@fault("E6")
async def odd_line_ends(shop: Shop) -> None:
    """CRLF, empty lines and a byte order mark are part of no message; a NUL is text."""
    script = 'import os; os.write(1, b\'\\xef\\xbb\\xbf{"n": 1}\\r\\n\\r\\n\\n{"n": 2}\\r\\n\')'
    said = await shop.value(python(script), output="ndjson", result="all")
    expect(said == [{"n": 1}, {"n": 2}], said)
    script = "import os; os.write(1, b'a\\0b\\r\\n\\nc')"
    said = await shop.value(python(script), output="lines", result="all")
    expect(said == ["a\0b", "", "c"], said)
    error = await shop.failure(python("import os; os.write(1, b'{\\0}\\n')"), output="ndjson")
    expect(error.code == "process.output", error)


@fault("E7")
async def characters_split_across_reads(shop: Shop) -> None:
    script = (
        "import os, time\n"
        "for byte in '[\"häß✓\"]'.encode(): os.write(1, bytes([byte])); time.sleep(0.002)"
    )
    for form, expected in (("text", '["häß✓"]'), ("json", ["häß✓"]), ("ndjson", ["häß✓"])):
        said = await shop.value(python(script), output=form)
        expect(said == expected, said)


@fault("E8")
async def invalid_utf_8(shop: Shop) -> None:
    script = "import os; os.write(1, b'ok\\n' + b'\\xff' * 300 + b'\\n')"
    for form in ("text", "lines", "json", "ndjson", "json_or_text"):
        error = await shop.failure(python(script.replace("ok", "1")), output=form)
        sample = base64.b64decode(error.data["sample_base64"])
        expect(error.code == "process.invalid_utf8", error)
        expect(sample == b"\xff" * 256, sample)


@fault("E9")
async def text_where_json_was_promised(shop: Shop) -> None:
    error = await shop.failure(["echo", "not json"], output="json")
    expect(error.code == "process.output", error)
    said = await shop.value(["echo", "not json"], output="json_or_text")
    expect(said == "not json", said)


@twin("E9")
async def json_where_text_would_do(shop: Shop) -> None:
    expect(await shop.value(["echo", "[1]"], output="json_or_text") == [1], "parsed")


# -- ends and beginnings -------------------------------------------------------------------


@fault("E10")
async def exit_codes_and_signals(shop: Shop) -> None:
    seen: dict[str, str] = {}
    for end in ("exit 1", "exit 2", "exit 126", "exit 127", "kill -9 $$", "kill -11 $$"):
        error = await shop.failure(sh(end))
        seen[end] = f"{error.code} {error.data['reason']} {error.data.get('exit_code', '')}"
    expect(len(set(seen.values())) == len(seen), seen)
    expect(seen["kill -9 $$"].startswith("process.signal killed"), seen)
    expect(seen["kill -11 $$"].startswith("process.signal crashed"), seen)


@twin("E10")
async def a_code_that_is_declared_good(shop: Shop) -> None:
    said = await shop.value(sh("echo found; exit 1"), exit_ok=[0, 1])
    expect(said == "found", said)


@fault("E11")
async def programs_that_cannot_be_started(shop: Shop) -> None:
    (folder_of(shop) / "plain").write_text("no program")
    (folder_of(shop) / "folder").mkdir(exist_ok=True)
    reasons: list[str] = []
    for program in ("no-such-program", "./missing", "./plain", "./folder", "/etc/passwd/x"):
        error = await shop.failure([program])
        expect(error.code == "process.spawn" and error.permanent is True, error)
        reasons.append(error.data["reason"])
    expect(reasons == ["missing", "missing", "not_executable", "directory", "missing"], reasons)


@fault("E12")
async def folders_that_cannot_be_worked_in(shop: Shop) -> None:
    gone = folder_of(shop) / "gone"
    gone.mkdir()
    agent = AgentSpec("tool", "process", {"argv": ["true"], "cwd": "gone"})
    worker = ProcessFactory(shop.house).build(agent, Toolbox(InlineScripts(), {}, shop.folder))
    await worker(Call("r_1", "$", "tool", None, spec=agent), shop.told)  # the twin
    gone.rmdir()
    for obstacle in (None, "a file"):
        if obstacle:
            gone.write_text(obstacle)
        with pytest.raises(WorkerFailure) as caught:
            await worker(Call("r_1", "$", "tool", None, spec=agent), shop.told)
        expect(caught.value.code == "process.spawn", caught.value)
        expect(caught.value.data == {"reason": "cwd"}, caught.value.data)


@fault("E13")
async def deaf_to_every_signal_that_asks(shop: Shop) -> None:
    folder = folder_of(shop)
    script = f"trap '' TERM INT HUP; echo $$ > {folder}/deaf.pid; sleep 1000 & wait; sleep 1000"
    await cancelled_when(shop, lambda: bool(pids_in(folder)), sh(script))
    expect(not shop.left(), shop.left())


@twin("E13")
async def one_that_cleans_up_when_asked(shop: Shop) -> None:
    folder = folder_of(shop)
    script = (
        f"trap 'echo bye > {folder}/bye; exit' TERM; echo $$ > {folder}/up.pid;"
        "while :; do sleep 0.01; done"
    )
    shop = Shop(folder, patience=Patience())  # five seconds, for a busy machine
    try:
        await cancelled_when(shop, lambda: bool(pids_in(folder)), sh(script))
    finally:
        shop.house.close()
    expect((folder / "bye").read_text() == "bye\n", "cleaned")


@fault("E14")
async def children_in_the_background(shop: Shop) -> None:
    script = "for i in 1 2 3 4 5; do sleep 1000 >/dev/null 2>&1 & done; echo ok"
    expect(await shop.value(sh(script)) == "ok", "answer")
    expect(not shop.left(), shop.left())


@fault("E15")
async def a_grandchild_with_a_session_of_its_own(shop: Shop) -> None:
    script = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo ok; sleep 0.05"
    expect(await shop.value(sh(script)) == "ok", "answer")
    expect(not shop.left(), shop.left())


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for fd in range(3): os.close(fd)
        time.sleep(1000)
    os._exit(0)
os.wait(); print('ok')
"""


@fault("E16")
async def a_daemon_that_forked_twice(shop: Shop) -> None:
    expect(await shop.value(python(DAEMON)) == "ok", "answer")
    expect(not shop.left(), shop.left())


@fault("E17")
async def stdout_held_open_by_a_grandchild(shop: Shop) -> None:
    expect(await shop.value(sh("sleep 1000 & echo kept")) == "kept", "answer")
    expect(not shop.left(), shop.left())


@twin("E17")
async def a_grandchild_that_is_soon_through(shop: Shop) -> None:
    said = await shop.value(sh("(sleep 0.02; echo late) & echo first"))
    expect(said == "first\nlate", said)


@fault("E18")
async def killed_while_nobody_reads(shop: Shop) -> None:
    """Its end is told though its pipe is full and unread."""
    house, here = shop.house, folder_of(shop)
    launch = Launch(["yes"], {"PATH": os.environ["PATH"]}, here, here, Limits())
    child = await Child.start(house.nursery, launch, QUICK)
    try:
        await anyio.wait_readable(child.stdout)
        os.kill(child.pid, signal.SIGKILL)
        with anyio.fail_after(20):
            await child.watch()
        expect(child.ended.code == -signal.SIGKILL, child.ended)
    finally:
        await child.end()


@fault("E19")
async def many_steps_one_after_the_other(shop: Shop) -> None:
    """Neither zombie nor descriptor nor thread is left; `SWARM_PROCESS_STEPS` says how many."""
    await shop.ask(["true"])
    await idle(shop)
    before = descriptors(), len(os.listdir("/proc/self/task"))
    for number in range(STEPS):
        if number % 10 == 3:
            await shop.failure(sh("exit 1"))
        elif number % 10 == 6:
            await shop.failure(["no-such-program"])
        elif number % 10 == 9:
            with anyio.move_on_after(0.002):
                await shop.ask(["sleep", "1000"])
        else:
            await shop.ask(["cat"], "x" * 100_000)
    await idle(shop)
    after = descriptors(), len(os.listdir("/proc/self/task"))
    # A thread for blocking calls may have gone home meanwhile.
    expect(after[0] == before[0] and after[1] <= before[1], (before, after))
    expect(not shop.left(), shop.left())
    expect(not list(shop.house.workdirs.root.glob("step-*")), "directories")


@fault("E20")
async def more_steps_than_may_go_on(shop: Shop) -> None:
    """Twenty lanes, four at a time, begun in the order in which they came."""
    folder = folder_of(shop)
    script = (
        f"n=$(ls {folder}/now | wc -l); echo $n >> {folder}/counts; : > {folder}/now/$0;"
        f"sleep 0.03; rm {folder}/now/$0; echo $0"
    )
    (folder / "now").mkdir()
    document = {
        "swarm": 1,
        "id": "many",
        "agents": [
            {"name": "tool", "kind": "process", "argv": ["sh", "-c", literal(script), "{input}"]}
        ],
        "flow": {
            "kind": "fanout",
            "items": "ctx.items",
            "bind": "ctx.item",
            "join": "all",
            "body": {"kind": "step", "ref": "tool", "in": "ctx.item", "out": "ctx.said"},
            "collect": "ctx.said",
            "out": "ctx.out",
        },
    }
    async with swarm.Host.in_memory() as host:
        run = await host.start(await host.load(document), {"items": [f"i{n}" for n in range(20)]})
        ctx = await run.result()
        started = [e["key"] async for e in run.events() if e["kind"] == "step.started"]
    expect(ctx["out"] == [f"i{n}" for n in range(20)], ctx)
    counts = [int(n) for n in (folder / "counts").read_text().split()]
    expect(len(counts) == 20 and max(counts) <= 3, counts)
    expect(
        [int("".join(filter(str.isdigit, k.split("[")[-1]))) for k in started] == [*range(20)],
        started,
    )


HOST = """
import sys, anyio, swarm
async def main():
    async with swarm.Host(sys.argv[1], shutdown_s=20) as host:
        blueprint = await host.load(sys.argv[2])
        run = await host.start(blueprint, {})
        with anyio.open_signal_receiver(15) as signals:
            async for _ in signals:
                break
anyio.run(main)
"""


def started_host(folder: Path, script: str) -> subprocess.Popen[bytes]:
    """Start a host of its own, whose one step is a shell script."""
    agent = {"name": "tool", "kind": "process", "argv": sh(script)}
    flow = {"kind": "step", "ref": "tool", "in": "null", "out": "ctx.said"}
    blueprint = folder / "long.json"
    blueprint.write_text(json.dumps({"swarm": 1, "id": "x", "agents": [agent], "flow": flow}))
    argv = [sys.executable, "-c", HOST, str(folder / "store"), str(blueprint)]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program


@fault("E21")
async def a_host_that_is_killed(shop: Shop) -> None:
    """With the keepers alive all are gone at once; else the next host finds the mark."""
    folder = folder_of(shop)
    script = (
        f"sleep 1000 & echo $! > {folder}/a.pid; setsid sleep 1000 >/dev/null 2>&1 </dev/null &"
        f"echo $! > {folder}/b.pid; echo $PPID > {folder}/keeper; echo $$ > {folder}/c.pid; wait"
    )
    host = started_host(folder, script)
    await until(lambda: len(pids_in(folder)) == 3)
    pids = pids_in(folder)
    host.kill()
    host.wait()
    await until(lambda: not any(map(is_alive, pids)))
    await a_host_that_is_killed_with_its_keepers(folder)


def sleeping(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/bin/sleep", "1000"], env={MARK: mark}, start_new_session=True)


async def a_host_that_is_killed_with_its_keepers(folder: Path) -> None:
    left = folder / "other" / "processes" / "step-left"
    other = Shop()
    try:
        expect(other.house.open(folder / "other") == 0, "nothing there")
        left.mkdir()
        mark = other.house.mark_of("r_1/$/1")
        orphan = sleeping(mark)
        twin = sleeping("other:r_1/$/1")
        await until(lambda: MARK.encode() in Path(f"/proc/{orphan.pid}/environ").read_bytes())
        expect(other.house.open(folder / "other") == 1, "found")
        expect(orphan.wait(20) == -signal.SIGKILL, "ended")
        expect(twin.poll() is None, "a stranger was ended")
        twin.kill()
        twin.wait()
        expect(not left.exists(), "directory")
    finally:
        other.house.close()


@fault("E22")
async def a_host_that_is_told_to_end(shop: Shop) -> None:
    folder = folder_of(shop)
    script = (
        f"trap 'echo asked > {folder}/asked; exit' TERM; echo $$ > {folder}/a.pid;"
        "while :; do sleep 0.01; done"
    )
    host = started_host(folder, script)
    await until(lambda: bool(pids_in(folder)))
    host.terminate()
    await anyio.to_thread.run_sync(host.wait)
    expect((folder / "asked").exists(), "asked to end")
    expect(not any(map(is_alive, pids_in(folder))), "left")


@fault("E23")
async def cancelled_while_it_starts(shop: Shop) -> None:
    for number in range(12):
        with anyio.move_on_after(number * 0.0015):
            await shop.ask(["sleep", "1000"])
        expect(not shop.left(), shop.left())


@fault("E24")
async def a_deadline_at_the_moment_of_its_end(shop: Shop) -> None:
    """Each has one outcome: an answer, or that there was none in time."""
    document = {
        "swarm": 1,
        "id": "close",
        "agents": [{"name": "tool", "kind": "process", "argv": sh("sleep 0.05; echo done")}],
        "flow": {
            "kind": "step",
            "ref": "tool",
            "in": "null",
            "out": "ctx.said",
            "timeout_s": 0.06,
        },
    }
    async with swarm.Host.in_memory() as host:
        for _ in range(8):
            run = await host.start(await host.load(document), {})
            outcome = await run.wait()
            ends = [e["kind"] async for e in run.events() if e["kind"] in _ENDS]
            expect(len(ends) == 1, ends)
            if outcome.status == "succeeded":
                expect(outcome.ctx == {"said": "done"}, outcome)
            else:
                assert outcome.error is not None
                expect(outcome.error["code"] == "step.timeout", outcome.error)


# -- what it is given ----------------------------------------------------------------------


@fault("E25")
async def secrets_in_the_environment_of_the_host(shop: Shop) -> None:
    os.environ["API_TOKEN"] = _HIDDEN
    try:
        said = await shop.value(["env"], env={"MODE": "fast"})
    finally:
        del os.environ["API_TOKEN"]
    names = {line.partition("=")[0] for line in said.splitlines()}
    expect(names == {"PATH", "HOME", "TMPDIR", "LANG", "TZ", MARK, "MODE"}, names)


@twin("E25")
async def a_variable_that_the_host_passes_on(shop: Shop) -> None:
    os.environ["API_TOKEN"] = _HIDDEN
    try:
        with open_shop(pass_env=("API_TOKEN", "NOT_THERE")) as other:
            said = await other.value(["printenv", "API_TOKEN"])
    finally:
        del os.environ["API_TOKEN"]
    expect(said == _HIDDEN, said)


@fault("E26")
async def descriptors_of_the_host(shop: Shop) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        said = await shop.value(python("import os; print(os.listdir('/proc/self/fd'))"))
        with open_shop() as other:  # its nursery starts while they are open
            told = await other.value(python("import os; print(os.listdir('/proc/self/fd'))"))
    finally:
        os.close(reading)
        os.close(writing)
    expect(said == told == "['0', '1', '2', '3']", (said, told))  # 3 is the listing itself


@fault("E27")
async def variables_that_change_programs(shop: Shop) -> None:
    names = ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PATH", "HOME")
    names += ("IFS", "ENV", "BASH_ENV", "BASH_FUNC_ls%%", "NODE_OPTIONS", MARK, "ld_preload")
    for name in names:
        agent = AgentSpec("tool", "process", {"argv": ["true"], "env": {name: "x"}})
        tools = Toolbox(InlineScripts(), {})
        found = [(p.code, p.field) for p in ProcessFactory().problems(agent, tools)]
        expect(found == [("process.env", f"env{member(name)}")], found)


_HIDDEN = "hunter2-hunter2"
_ENDS = ("step.finished", "step.failed", "step.cancelled")
NASTY = ("; rm -rf /", "$(id)", "`id`", "a 'b' \"c\" \\", "two\nlines", "*", "~", "&& id", "| id")


@fault("E28")
async def words_that_mean_something_to_a_shell(shop: Shop) -> None:
    for text in NASTY:
        expect(await shop.value(["printf", "%s", "{input}"], text) == text, text)
    error = await shop.failure(["cat", "{input}"], "--version")
    expect(error.code == "process.argument" and error.permanent is True, error)


@twin("E28")
async def an_option_behind_two_dashes(shop: Shop) -> None:
    expect(await shop.value(["printf", "--", "%s", "{input}"], "-x") == "-x", "behind --")
    expect(await shop.value(["printf", "%s", "--a={input}"], "-x") == "--a=-x", "within")


@fault("E29")
async def a_value_that_looks_like_a_template(shop: Shop) -> None:
    said = await shop.value(["printf", "%s|%s", "{input}", "{{input}}"], "{run_id}{input}")
    expect(said == "{run_id}{input}|{input}", said)


@fault("E30")
async def arguments_that_no_system_takes(shop: Shop) -> None:
    for text in ("x" * 200_000, "a\0b"):
        error = await shop.failure(["printf", "%s", "{input}"], text)
        expect(error.code == "process.argument" and error.permanent is True, error)
    many = ["{input}"] * 80
    error = await shop.failure(["true", *many], "x" * 100_000)
    expect(error.code == "process.spawn" and error.data["reason"] == "too_large", error)


@twin("E30")
async def large_data_as_a_file(shop: Shop) -> None:
    said = await shop.value(["wc", "-c", "{input_file}"], "x" * 200_000)
    expect(said.split()[0] == "200000", said)
    long = "x" * (128 * 1024 - 1)
    expect(await shop.value(["printf", "%s", "{input}"], long) == long, "the longest")


# -- what it takes -------------------------------------------------------------------------

# A bomb with a bound, for the machine's sake: each has two children, in sessions of their own.
BOMB = """
import os, time
for level in range(9):
    if os.fork() == 0: os.setsid()
time.sleep(1000)
"""


@fault("E31")
async def a_fork_bomb(shop: Shop) -> None:
    error = await shop.failure(python(BOMB))
    expect(error.code == "process.limit", error)
    expect(error.data["limit"] == "processes", error.data)
    await idle(shop)
    expect(not shop.left(), shop.left())


@fault("E32")
async def two_gigabytes(shop: Shop) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await shop.failure(python("x = bytearray(2 << 30); print(len(x))"))
    expect(error.code == "process.exit", error)
    expect("MemoryError" in error.data["stderr"], error.data)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    expect(grown < 64 * 1024, grown)


@twin("E32")
async def a_quarter_of_a_gigabyte(shop: Shop) -> None:
    expect(await shop.value(python("print(len(bytearray(1 << 28)))")) == str(1 << 28), "memory")


@fault("E33")
async def a_disk_that_fills(shop: Shop) -> None:
    small = {"file_bytes": 1_000_000, "disk_bytes": 4_000_000}
    error = await shop.failure(
        ["dd", "if=/dev/zero", "of=one", "bs=100k", "count=100"], cwd="{workdir}", limits=small
    )
    expect(error.data["reason"] == "file_limit", error.data)
    script = (
        "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=$i bs=100k count=1 2>/dev/null;"
        "sleep 0.005; done"
    )
    error = await shop.failure(sh(script), cwd="{workdir}", limits=small)
    expect(error.code == "process.limit", error)
    expect(error.data["limit"] == "disk_bytes", error.data)


@fault("E34")
async def a_processor_that_is_never_given_back(shop: Shop) -> None:
    error = await shop.failure(python("while True: pass"), limits={"cpu_s": 1})
    expect(error.code == "process.signal" and error.data["reason"] == "cpu_limit", error)
    with open_shop(timeout_s=0.3, patience=QUICK) as other:
        error = await other.failure(sh("trap '' TERM; while :; do :; done"))
        expect(error.code == "step.timeout", error)
        expect(not other.left(), other.left())


@fault("E35")
async def links_that_lead_out(shop: Shop) -> None:
    outside = folder_of(shop) / "outside"
    outside.mkdir()
    (outside / "report.md").write_text("not yours")
    for script in (
        f"ln -s {outside}/report.md report.md",
        f"rmdir sub 2>/dev/null; ln -s {outside} sub",
        "mkfifo report.md",
        "mkdir report.md",
    ):
        file = "sub/report.md" if " sub" in script else "report.md"
        error = await shop.failure(sh(script), cwd="{workdir}", parts={"report": file})
        expect(error.code == "process.part", error)
    # Taking the directory down follows none either.
    expect((outside / "report.md").read_text() == "not yours", "outside")


@twin("E35")
async def a_file_that_is_its_own(shop: Shop) -> None:
    script = "mkdir sub; echo mine > sub/report.md"
    outcome = await shop.ask(sh(script), cwd="{workdir}", parts={"report": "sub/report.md"})
    expect(outcome.parts == {"report": "mine\n"}, outcome)


KILLING = """
import signal, subprocess, sys
from swarm.workers.process import tree
own = subprocess.Popen(["sleep", "1000"])
for pid in (int(sys.argv[1]), own.pid):
    tree.kill_below(pid, signal.SIGKILL)
print(own.wait())
"""


@fault("E36")
async def an_id_that_is_another_s_by_now(shop: Shop) -> None:
    """What a keeper ends is its own: who has been given the id of one that ended is not."""
    stranger, mine = sleeping(""), sleeping("")
    try:
        below = await anyio.run_process([sys.executable, "-c", KILLING, str(stranger.pid)])
        expect(below.stdout == b"-9\n", below)
        expect(stranger.poll() is None, "a stranger was ended")
        tree.kill_below(mine.pid, signal.SIGKILL)
        expect(mine.wait(20) == -9, "its own child")
    finally:
        for process in (stranger, mine):
            process.kill()
            process.wait()


# -- the count -----------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, patience=QUICK) as opened:
        yield opened


async def survived(todo: dict[str, Fault], folder: Path, names: Any = None) -> dict[str, str]:
    """Try each in a folder of its own; return what was not survived, and why."""
    lost: dict[str, str] = {}
    with open_shop(patience=QUICK) as shop:
        for name in names or todo:
            shop.folder = folder / name
            shop.folder.mkdir()
            began = time.monotonic()
            try:
                with anyio.fail_after(120):
                    await todo[name](shop)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was not survived
                lost[name] = f"{type(error).__name__}: {error}"
            for pid in shop.left():
                os.kill(pid, signal.SIGKILL)
            if os.environ.get("SWARM_PROCESS_TIMES"):
                print(f"{name}: {time.monotonic() - began:.2f} s")  # noqa: T201
    return lost


async def test_every_fault_of_the_list_is_survived(tmp_path: Path) -> None:
    lost = await survived(FAULTS, tmp_path)
    print(f"process faults survived: {len(FAULTS) - len(lost)} / {len(FAULTS)}")  # noqa: T201
    assert not lost
    assert set(FAULTS) == {f"E{n}" for n in range(1, 37)}


async def test_every_benign_twin_passes(tmp_path: Path) -> None:
    lost = await survived(TWINS, tmp_path)
    print(f"benign twins passed: {len(TWINS) - len(lost)} / {len(TWINS)}")  # noqa: T201
    assert not lost


async def test_planted_bugs_turn_the_list_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(order, "_LONGEST", 1 << 30)
        planted.setattr(os, "O_NOFOLLOW", 0)
        lost = await survived(FAULTS, tmp_path, ("E30", "E35"))
    assert set(lost) == {"E30", "E35"}
    with monkeypatch.context() as planted:
        # The nursery is a process of its own: a bug in it is planted by what it boots.
        boot = (
            "import sys; sys.path.insert(0, sys.argv[1]);"
            "from swarm.workers.process import keeper;"
            "keeper._Keeper._sweep = lambda self: None;"
            "keeper.children_by_parent = lambda: {}; keeper.main()"
        )
        planted.setattr(nursery, "_BOOT", boot)
        (tmp_path / "again").mkdir()
        lost = await survived(FAULTS, tmp_path / "again", ("E14", "E16"))
    assert set(lost) == {"E14", "E16"}
