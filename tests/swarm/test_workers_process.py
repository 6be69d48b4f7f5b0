"""Subprocesses, with real ones: what they say, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.lua.runner import InlineScripts
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Toolbox
from swarm.workers.child import ChildLimits
from swarm.workers.process import ProcessFactory, ProcessWorker, Program

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class NoLink:
    """Processes use nothing of it."""

    cancelled = False

    async def progress(self, text: str) -> None: ...

    async def part(self, name: str, value: Any) -> None: ...

    async def call(self, agent: str, input: Any) -> Any: ...

    async def ask(self, ask: Ask) -> Any: ...

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any: ...

    async def sleep(self, seconds: float) -> None: ...

    def held(self) -> Any: ...


async def run(
    *argv: str, given: Any = None, limits: ChildLimits | None = None, **fields: Any
) -> Any:
    worker = ProcessWorker(Program("tool", argv, **fields), limits or ChildLimits())
    outcome = await worker(Call("r_1", "$", "tool", given), NoLink())
    return outcome.value


async def failed(*argv: str, given: Any = None, **fields: Any) -> WorkerFailure:
    with pytest.raises(WorkerFailure) as caught:
        await run(*argv, given=given, **fields)
    assert "\n" not in caught.value.message
    return caught.value


def python(script: str) -> tuple[str, ...]:
    return ("python3", "-c", script)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


# ---- what goes in and what comes out -------------------------------------------------


async def test_text_goes_in_and_out_as_it_is() -> None:
    assert await run("cat", given="hello ✓\r\n\n") == "hello ✓\r\n"


async def test_null_is_an_empty_stdin() -> None:
    assert await run("cat") == ""


async def test_one_last_newline_is_taken_away() -> None:
    assert await run("printf", "a\n\n") == "a\n"
    assert await run("printf", "a\r\n") == "a"
    assert await run("printf", " a ") == " a "


async def test_json_goes_in_and_out() -> None:
    script = "import json,sys; v = json.load(sys.stdin); print(json.dumps({'got': v}))"
    value = {"n": [1, 2.5, None, "ä"]}
    assert await run(*python(script), given=value, input="json", output="json") == {"got": value}


async def test_an_argument_is_never_seen_by_a_shell() -> None:
    nasty = "; echo no $(echo no) `echo no` 'no\" * \\ \n -x"
    assert await run("printf", "%s", nasty) == nasty


async def test_ten_megabytes_written_before_the_stdin_is_read_do_not_deadlock() -> None:
    script = "import sys; sys.stdout.write('x' * 5_000_000); print(len(sys.stdin.read()))"
    said = await run(*python(script), given="y" * 10_000_000)
    assert said == "x" * 5_000_000 + "10000000"


async def test_a_program_that_does_not_read_its_stdin_is_no_failure() -> None:
    assert await run("echo", "done", given="y" * 1_000_000) == "done"


async def test_utf_8_may_be_split_across_writes() -> None:
    script = (
        "import os,time; b='häß✓'.encode()\n"
        "for i in range(len(b)): os.write(1, b[i:i+1]); time.sleep(0.001)"
    )
    assert await run(*python(script)) == "häß✓"


async def test_text_input_must_be_text() -> None:
    error = await failed("cat", given={"a": 1})
    assert (error.code, error.permanent) == ("process.input", True)
    assert "expected a string as input, got object" in error.message


# ---- how it fails --------------------------------------------------------------------


async def test_an_exit_code_comes_with_the_end_of_stderr() -> None:
    error = await failed("sh", "-c", "echo one >&2; echo rate limited >&2; exit 3")
    assert error.code == "process.exit"
    assert error.message == "process 'tool' exited with code 3; last line 'rate limited'"
    assert error.data == {"exit_code": 3, "stderr": "one\nrate limited\n"}


async def test_only_the_last_of_stderr_is_kept() -> None:
    script = "import sys; sys.stderr.write('x' * 1_000_000 + 'end'); sys.exit(1)"
    error = await failed(*python(script))
    assert len(error.data["stderr"]) == 64 * 1024
    assert error.data["stderr"].endswith("xend")


async def test_stderr_that_is_no_utf_8_is_still_told() -> None:
    error = await failed(*python("import os; os.write(2, b'a\\xffb'); os._exit(1)"))
    assert error.data["stderr"] == "a\ufffdb"


async def test_a_signal_is_told_by_its_name() -> None:
    error = await failed("sh", "-c", "kill -SEGV $$")
    assert (error.code, error.data["signal"]) == ("process.signal", "SIGSEGV")
    assert error.message == "process 'tool' was ended by SIGSEGV"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("no-such-program",), "no such file or directory"),
        (("/etc/passwd",), "permission denied"),
        (("/etc",), "permission denied"),
    ],
)
async def test_a_program_that_cannot_be_started_is_a_permanent_failure(
    argv: tuple[str, ...], said: str
) -> None:
    error = await failed(*argv)
    assert (error.code, error.permanent) == ("process.spawn", True)
    assert error.message == f"process 'tool': cannot start {argv[0]!r}: {said}"


async def test_a_missing_folder_is_told_apart_from_a_missing_program(tmp_path: Path) -> None:
    error = await failed("cat", cwd=tmp_path / "gone")
    assert error.code == "process.spawn"
    assert f"cannot start in {str(tmp_path / 'gone')!r}" in error.message


async def test_an_argument_of_200_kilobytes_is_a_failure_not_a_crash() -> None:
    error = await failed("echo", "x" * 200_000)
    assert error.code == "process.spawn"


async def test_output_that_is_no_utf_8_is_a_failure() -> None:
    error = await failed("printf", "ab\\377")
    assert error.code == "process.output"
    assert "not UTF-8 at byte 2: 'ff'" in error.message


@pytest.mark.parametrize("said", ["", "nonsense", '{"a": 1, "a": 2}', "[NaN]", "{} {}"])
async def test_output_that_is_no_json_is_a_failure(said: str) -> None:
    error = await failed("printf", "%s", said, output="json")
    assert error.code == "process.output"
    assert "its output is not JSON" in error.message


async def test_endless_output_is_cut_off() -> None:
    error = await failed("yes", limits=ChildLimits(stdout_bytes=100_000))
    assert error.code == "process.output_limit"
    assert "wrote more than 100000 bytes" in error.message
    assert not has_children()


# ---- where it runs -------------------------------------------------------------------


async def test_it_runs_in_its_folder(tmp_path: Path) -> None:
    assert await run("cat", "here", cwd=marked(tmp_path)) == "yes"


def marked(folder: Path) -> Path:
    (folder / "here").write_text("yes")
    return folder


async def test_it_sees_the_allowed_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    said = await run("env", env={"MODE": "fast"})
    names = {line.split("=")[0] for line in said.splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "MODE"}
    assert {"PATH", "LANG", "MODE"} <= names


async def test_python3_is_found_where_the_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert await run(*python("import sys; print(sys.version_info[0])")) == "3"


async def test_it_inherits_three_descriptors_only() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    said = await run(*python("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"))
    os.close(reading)
    os.close(writing)
    assert said.startswith("[0, 1, 2, 3]")  # 3 is the listing itself


async def test_it_leads_a_session_of_its_own() -> None:
    script = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert await run(*python(script)) == "True"


# ---- how it ends ---------------------------------------------------------------------


async def started(folder: Path, script: str, limits: ChildLimits, count: int) -> list[int]:
    """Cancel a shell script once it has written *count* ids into files; return those."""
    worker = ProcessWorker(Program("tool", ("sh", "-c", script), cwd=folder), limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker, Call("r_1", "$", "tool", None), NoLink())
        await until(lambda: len(written(folder)) == count)
        tasks.cancel_scope.cancel()
    return written(folder)


def written(folder: Path) -> list[int]:
    return [int(text) for file in folder.glob("*.pid") if (text := file.read_text().strip())]


async def until(true: Callable[[], bool]) -> None:
    """Wait for what other processes do, which nobody here can set an event for."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110
            await anyio.sleep(0.002)


async def all_dead(pids: list[int]) -> None:
    """Wait until the system has carried out the signals that it took."""
    await until(lambda: not any(map(is_alive, pids)))


async def test_a_cancelled_step_takes_its_grandchildren_with_it(tmp_path: Path) -> None:
    script = (
        "(sleep 1000 & echo $! > a.pid; wait) & (sleep 1000 & echo $! > b.pid; wait) &"
        "echo $$ > c.pid; wait"
    )
    pids = await started(tmp_path, script, ChildLimits(), 3)
    await all_dead(pids)
    assert not has_children()


async def test_a_group_that_ignores_term_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM INT HUP; sleep 1000 & echo $! > a.pid; echo $$ > b.pid; wait; sleep 1000"
    pids = await started(tmp_path, script, ChildLimits(grace_s=0.05), 2)
    await all_dead(pids)
    assert not has_children()


async def test_term_comes_before_kill_so_that_it_can_clean_up(tmp_path: Path) -> None:
    script = "trap 'echo bye > cleaned; exit' TERM; echo $$ > a.pid; while :; do sleep 0.01; done"
    await started(tmp_path, script, ChildLimits(), 1)
    assert (tmp_path / "cleaned").read_text() == "bye\n"


async def test_children_left_in_the_background_end_with_their_step(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5; do sleep 1000 >/dev/null 2>&1 & echo $! > $i.pid; done; echo ok"
    assert await run("sh", "-c", script, cwd=tmp_path) == "ok"
    await all_dead(written(tmp_path))


async def test_a_grandchild_that_keeps_stdout_open_does_not_keep_the_step() -> None:
    limits = ChildLimits(drain_s=0.05)
    assert await run("sh", "-c", "sleep 1000 & echo kept", limits=limits) == "kept"
    assert not has_children()


async def test_what_a_grandchild_still_writes_after_the_leader_s_exit_is_heard() -> None:
    assert await run("sh", "-c", "(sleep 0.03; echo late) & echo first") == "first\nlate"


async def test_a_grandchild_that_leaves_the_group_with_the_pipes_costs_no_descriptor() -> None:
    before = descriptors()
    limits = ChildLimits(drain_s=0.02)
    script = (
        "import os,sys,time\n"
        "if os.fork() == 0:\n    os.setsid(); time.sleep(0.5); os._exit(0)\n"
        "print('ok')"
    )
    assert await run(*python(script), limits=limits) == "ok"
    assert descriptors() == before


async def test_fifty_steps_leave_no_zombie_and_no_descriptor() -> None:
    await run("true")
    before = descriptors()
    for i in range(50):
        if i % 5 == 0:
            await failed("sh", "-c", "exit 1")
        elif i % 5 == 1:
            await failed("no-such-program")
        elif i % 5 == 2:
            with anyio.move_on_after(0.002):
                await run("sleep", "1000")
        else:
            await run("cat", given="x" * 100_000)
    assert descriptors() == before
    assert not has_children()


async def test_cancelling_before_the_start_leaves_nothing() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run("sleep", "1000")
    assert not has_children()


# ---- what is wrong before anything runs ----------------------------------------------


def problems(folder: Path | None = None, **settings: Any) -> list[tuple[str, str]]:
    agent = AgentSpec("tool", "process", {"argv": ["x"], **settings})
    found = ProcessFactory().problems(agent, Toolbox(InlineScripts(), {}, folder))
    return [(p.code, p.field) for p in found]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"argv": "ls -l"}, [("process.argv", "argv")]),
        ({"argv": []}, [("process.argv", "argv")]),
        ({"argv": ["x", 1, "a\0b"]}, [("process.argv", "argv[1]"), ("process.argv", "argv[2]")]),
        ({"argv": [""]}, [("process.argv", "argv[0]")]),
        ({"input": "xml", "output": 1}, [("process.input", "input"), ("process.output", "output")]),
        ({"env": []}, [("process.env", "env")]),
        ({"env": {"MODE": "x", "A_1": ""}}, []),
        ({"env": {"LD_PRELOAD": "x"}}, [("process.env", "env.LD_PRELOAD")]),
        ({"env": {"PYTHONPATH": "x"}}, [("process.env", "env.PYTHONPATH")]),
        ({"env": {"PATH": "x"}}, [("process.env", "env.PATH")]),
        ({"env": {"mode": "x"}}, [("process.env", "env.mode")]),
        ({"env": {"MODE": 1}}, [("process.env", "env.MODE")]),
        ({"cwd": 1}, [("process.cwd", "cwd")]),
    ],
)
def test_wrong_settings_are_found(settings: dict[str, Any], expected: list[Any]) -> None:
    assert problems(**settings) == expected


def test_a_folder_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert problems(tmp_path, cwd="there") == []
    assert problems(tmp_path, cwd="gone") == [("process.cwd", "cwd")]


def test_the_interpreter_s_folder_shadows_nothing() -> None:
    from swarm.workers.process import _environment  # pyright: ignore[reportPrivateUsage]

    path = _environment({})["PATH"].split(os.pathsep)
    assert path[-1] == str(Path(sys.executable).parent)
