from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import apsw
import pytest

from swarm import Host
from swarm.cli.following import Ended, report
from swarm.cli.main import invoke
from swarm.core.run import RunOutcome
from swarm.host.past import resting

DOCUMENT = {
    "swarm": 1,
    "id": "sums",
    "agents": [{"name": "add", "kind": "function", "function": "add"}],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "add", "in": "1", "out": "$.a", "id": "first"},
            {
                "kind": "loop",
                "counter": "$.n",
                "cond": "true",
                "max": 2,
                "body": {"kind": "step", "ref": "add", "in": "ctx.a", "out": "$.a", "id": "more"},
            },
        ],
    },
}

Said = tuple[int, str, str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_STORE", raising=False)
    (tmp_path / "sums.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "swarm.toml").write_text('[functions]\nadd = "adding.py:add"\n')
    (tmp_path / "adding.py").write_text("def add(n: int) -> int:\n    return n + 1\n")
    return tmp_path


@pytest.fixture
def swarm(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*arguments: str) -> Said:
        code = invoke(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def interrupted(folder: Path) -> None:
    """Leave a run of the store in the midst of its second step."""

    async def main() -> None:
        reached = anyio.Event()
        host = Host(".swarm", durability="normal")

        @host.function("add")
        async def add(n: int) -> int:
            if n == 2:
                reached.set()
                await anyio.sleep_forever()
            return n + 1

        async with host:
            await host.start(await host.load("sums.json"), {}, run_id="mine")
            await reached.wait()

    anyio.run(main)


def test_a_run_is_kept_in_the_folder_that_is_nearest(
    swarm: Callable[..., Said], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert swarm("run", "sums.json", "--run-id", "one")[0] == 0
    assert (folder / ".swarm/journal.db").is_file()
    monkeypatch.setenv("SWARM_STORE", "from-env")
    assert swarm("run", "sums.json")[0] == 0
    assert (folder / "from-env/journal.db").is_file()
    monkeypatch.delenv("SWARM_STORE")
    with (folder / "swarm.toml").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write('store = "kept"\n' + text)
    assert swarm("run", "sums.json")[0] == 0
    assert (folder / "kept/journal.db").is_file()
    assert swarm("run", "sums.json", "--store", ":memory:")[0] == 0
    assert swarm("runs", "list", "--store", ".swarm")[1].startswith("one  succeeded  sums  ")


def test_the_same_id_gives_the_same_run(swarm: Callable[..., Said]) -> None:
    first = swarm("run", "sums.json", "--run-id", "one")
    again = swarm("run", "sums.json", "--run-id", "one")
    assert json.loads(first[1]) == json.loads(again[1]) == {"a": 4, "n": 2}
    code, _, err = swarm("run", "sums.json", "--run-id", "one", "--set", "x=1")
    assert code == 2
    assert err.startswith("run.conflict: ")


def test_list_as_json_is_a_line_for_each_run(swarm: Callable[..., Said]) -> None:
    for name in ("one", "two"):
        swarm("run", "sums.json", "--run-id", name)
    lines = [json.loads(line) for line in swarm("runs", "list", "--json")[1].splitlines()]
    assert [(line["run_id"], line["status"]) for line in lines] == [
        ("two", "succeeded"),
        ("one", "succeeded"),
    ]
    assert swarm("runs", "list", "--status", "failed")[1] == ""
    assert len(swarm("runs", "list", "--limit", "1")[1].splitlines()) == 1


def test_show_draws_turns_and_steps(swarm: Callable[..., Said]) -> None:
    swarm("run", "sums.json", "--run-id", "one")
    code, out, _ = swarm("runs", "show", "one")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("one  succeeded  sums  ")
    assert lines[1].startswith("├── add (first)  ✓ ")
    assert lines[2] == "├── turn 1"
    assert lines[3].startswith("│   └── add (more)  ✓ ")
    assert lines[4] == "└── turn 2"
    key = lines[5].split()[-1]
    assert swarm("runs", "rerun", "one", "--from", key, "--set", "a=7", "--run-id", "two")[0] == 0
    assert json.loads(swarm("runs", "show", "two", "--json")[1])["ctx"] == {"a": 8, "n": 2}
    shown = json.loads(swarm("runs", "show", "one", "--json")[1])
    assert [step["node"] for step in shown["steps"]] == ["first", "more", "more"]
    assert shown["steps"][0]["attempts"][0]["status"] == "finished"
    assert shown["ctx"] == {"a": 4, "n": 2}


@pytest.mark.usefixtures("interrupted")
def test_resume_goes_on_from_another_folder_without_the_file(
    swarm: Callable[..., Said], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sums.json").unlink()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    store = str(folder / ".swarm")
    shown = swarm("runs", "show", "mine", "--store", store)[1]
    assert "mine  interrupted" in shown
    assert "~ interrupted" in shown
    code, out, err = swarm("runs", "resume", "mine", "--store", store)
    assert code == 0
    assert json.loads(out) == {"a": 4, "n": 2}
    assert "add" in err
    again = swarm("runs", "resume", "mine", "--store", store, "--json")
    assert json.loads(again[1])["ctx"] == {"a": 4, "n": 2}


@pytest.mark.usefixtures("interrupted")
def test_a_run_is_paused_and_cancelled(swarm: Callable[..., Said]) -> None:
    later = "swarm runs resume mine goes on with it\n"
    assert swarm("runs", "pause", "mine")[2] == f"run mine: paused — {later}"
    assert swarm("runs", "pause", "mine")[2] == f"run mine: paused already — {later}"
    assert swarm("runs", "list", "--status", "paused")[1].startswith("mine  paused")
    code, out, _ = swarm("runs", "cancel", "mine", "--reason", "enough", "--json")
    assert code == 0
    assert json.loads(out)["status"] == "cancelled"
    assert json.loads(out)["error"]["message"] == "enough"
    assert swarm("runs", "pause", "mine")[0] == 2


@pytest.mark.usefixtures("interrupted")
def test_a_pause_is_told_as_json(swarm: Callable[..., Said]) -> None:
    for _ in range(2):
        code, out, _ = swarm("runs", "pause", "mine", "--json")
        assert (code, json.loads(out)) == (0, {"run_id": "mine", "status": "paused"})


def test_a_run_that_has_ended_is_not_cancelled_and_that_is_said(
    swarm: Callable[..., Said],
) -> None:
    swarm("run", "sums.json", "--run-id", "one")
    code, out, err = swarm("runs", "cancel", "one", "--json")
    assert (code, json.loads(out)["status"]) == (0, "succeeded")
    assert "run one: succeeded already, nothing to cancel" in err
    code, out, err = swarm("runs", "cancel", "one")
    assert (code, out, err) == (0, "", "run one: succeeded already, nothing to cancel\n")


def test_what_is_told_by_letter_says_how_far_it_came(folder: Path) -> None:
    """A step in flight ends before its run is paused; another process is told so."""

    async def done(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return await anyio.run_process([*COMMAND, "runs", *arguments], env=env, check=False)

    async def said(*arguments: str) -> str:
        return (await done(*arguments)).stderr.decode()

    async def told(*arguments: str) -> object:
        return json.loads((await done(*arguments, "--json")).stdout)

    async def main() -> None:
        gate, came = anyio.Event(), anyio.Event()

        async def add(n: int) -> int:
            came.set()
            await gate.wait()
            return n + 1

        async with Host(".swarm") as host:
            host.function("add")(add)
            run = await host.start(await host.load("sums.json"), {}, run_id="live")
            await came.wait()
            begun = "run live: it will pause, by the process that has the store"
            assert await said("pause", "live") == f"{begun} — what is in flight ends before\n"
            still = {"run_id": "live", "status": "running"}
            assert await told("pause", "live") == still
            gate.set()
            await run.wait()
            paused = "run live: paused, by the process that has the store"
            later = "swarm runs resume live goes on with it"
            assert await said("pause", "live") == f"{paused} — {later}\n"
            await (await host.resume("live")).result()
            late = await said("cancel", "live")
            assert late == "run live: succeeded already, nothing to cancel\n"
            ended = {"run_id": "live", "status": "succeeded", "ctx": None, "error": None}
            assert await told("cancel", "live") == ended

    anyio.run(main)


def test_what_goes_on_fails_on_the_authors_line_as_what_was_started(
    swarm: Callable[..., Said], folder: Path
) -> None:
    """The file says the same still, or the store has the version; else there are places."""
    refusing = folder / "refusing.lua"
    refusing.write_text(
        'local flow = require "flow"\n'
        'local add = flow.fn "add"\n'
        'return flow.blueprint { id = "refusing", agents = { add }, flow = function(ctx)\n'
        "  ctx.a = add(1)\n"
        '  error("sum.wrong", "no")\n'
        "end }\n"
    )
    assert swarm("run", "refusing.lua", "--run-id", "one")[2].endswith(":5: sum.wrong: no\n")
    told = [swarm("runs", "resume", "one")[2], swarm("runs", "rerun", "one", "--from", "add")[2]]
    assert [one.splitlines()[-1] for one in told] == ["refusing.lua:5: sum.wrong: no"] * 2
    version = ["--author", "ada", "--reason", "first"]
    assert swarm("blueprint", "register", "refusing.lua", *version)[0] == 0
    live = swarm("run", "refusing@latest", "--run-id", "two")[2].splitlines()[-1]
    assert live == "refusing@1.0.0/blueprint.lua:5: sum.wrong: no"
    assert swarm("runs", "resume", "two")[2] == live + "\n"
    (folder / "another.lua").write_text('error("refusing")')
    called = refusing.rename(folder / "called otherwise.lua")
    assert swarm("runs", "resume", "one")[2] == "called otherwise.lua:5: sum.wrong: no\n"
    called.write_text(called.read_text().replace("add(1)", "add(2)"))
    assert swarm("runs", "resume", "one")[2] == "$.children[2]: sum.wrong: no\n"


def test_rerun_starts_from_a_step_with_another_value(swarm: Callable[..., Said]) -> None:
    swarm("run", "sums.json", "--run-id", "one")
    code, out, _ = swarm("runs", "rerun", "one", "--from", "more", "--set", "a=10")
    assert code == 0
    assert json.loads(out) == {"a": 12, "n": 2}
    code, _, err = swarm("runs", "rerun", "one", "--from", "moore")
    assert code == 2
    assert "did you mean 'more'" in err


def test_events_are_chosen_by_kind_and_place(swarm: Callable[..., Said]) -> None:
    swarm("run", "sums.json", "--run-id", "one")

    def told(*options: str) -> list[str]:
        lines = swarm("runs", "events", "one", "--json", *options)[1].splitlines()
        return [json.loads(line)["kind"] for line in lines]

    assert told("--kind", "step.finished") == ["step.finished"] * 3
    assert told("--at", "more") == ["step.started", "step.finished"] * 2
    assert told("--at", "first", "--kind", "step.*") == ["step.started", "step.finished"]
    for wrong in (("--kind", "nope"), ("--at", "nope")):
        code, out, err = swarm("runs", "events", "one", *wrong)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1


def test_events_are_lines_or_json(swarm: Callable[..., Said]) -> None:
    swarm("run", "sums.json", "--run-id", "one")
    plain = swarm("runs", "events", "one", "--follow")[1].splitlines()
    events = [json.loads(line) for line in swarm("runs", "events", "one", "--json")[1].splitlines()]
    assert len(plain) == len(events)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    some = swarm("runs", "events", "one", "--since", "3", "--json")[1].splitlines()
    assert json.loads(some[0])["seq"] == 4


def test_a_store_that_another_process_has_can_be_looked_at_and_nothing_else(
    swarm: Callable[..., Said],
) -> None:
    swarm("run", "sums.json", "--run-id", "one")

    def look(*arguments: str) -> Said:
        return swarm("runs", *arguments)

    async def main() -> None:
        async with Host(".swarm", resume="manual"):
            assert (await anyio.to_thread.run_sync(look, "list"))[1].startswith("one  succeeded")
            assert (await anyio.to_thread.run_sync(look, "show", "one"))[0] == 0
            assert (await anyio.to_thread.run_sync(look, "events", "nobody"))[0] == 2
            code, _, err = await anyio.to_thread.run_sync(look, "pause", "one")
            assert code == 2
            assert err.startswith("run.state: ")  # the owner's own word

    anyio.run(main)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list"], "expected the folder of a store, found none"),
        (["show", "x"], "expected the folder of a store, found none"),
        (["resume", "x", "--store", "none"], "none: expected the folder of a store"),
    ],
)
def test_a_store_that_is_not_there_is_not_made(
    swarm: Callable[..., Said], arguments: list[str], words: str
) -> None:
    code, out, err = swarm("runs", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert not Path(".swarm").exists()


def test_an_unknown_run_is_one_sentence(swarm: Callable[..., Said]) -> None:
    swarm("run", "sums.json")
    for verb in ("show", "events", "resume", "cancel", "pause"):
        code, _, err = swarm("runs", verb, "nobody")
        assert code == 2, verb
        assert err.startswith("run.unknown: "), err
        assert err.count("\n") == 1


COMMAND = [sys.executable, "-c", "from swarm.cli.main import main; main()"]
# Without this capability root is held to the permissions of a folder like everybody else.
HELD = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0);"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def spawned(*arguments: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([*COMMAND, *arguments], env=env, stderr=subprocess.DEVNULL)  # noqa: S603


def kill_in_the_midst(swarm: Callable[..., Said], folder: Path) -> None:
    """Leave a store whose owner died while a step was in flight."""
    (folder / "adding.py").write_text("import time\ndef add(n: int):\n    time.sleep(60)\n")
    child = spawned("run", "sums.json", "--run-id", "dead")
    while "▸ running" not in swarm("runs", "show", "dead")[1]:
        time.sleep(0.05)
    child.kill()
    child.wait()


def test_looking_at_a_run_whose_host_died_changes_nothing(
    swarm: Callable[..., Said], folder: Path
) -> None:
    kill_in_the_midst(swarm, folder)
    store = folder / ".swarm"
    before = {path.name: path.read_bytes() for path in store.glob("journal.db*")}
    assert swarm("runs", "list", "--status", "interrupted")[1].startswith("dead  interrupted")
    assert swarm("runs", "list", "--status", "running")[1] == ""
    shown = swarm("runs", "show", "dead")[1]
    assert "~ interrupted" in shown
    assert "▸" not in shown
    after = {path.name: path.read_bytes() for path in store.glob("journal.db*")}
    assert before["journal.db"] == after["journal.db"]
    assert before["journal.db-wal"] == after["journal.db-wal"]


def held(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run a command by somebody who may not write into *folder*."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    folder.chmod(0o555)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", HELD, *COMMAND[1:], *arguments],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        folder.chmod(0o755)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="root is held by a capability of Linux")
def test_a_store_in_a_folder_that_cannot_be_written_can_be_looked_at(
    swarm: Callable[..., Said], folder: Path
) -> None:
    swarm("run", "sums.json", "--run-id", "one")
    store = folder / ".swarm"
    code, out, err = held(store, "runs", "list")
    assert (code, out[:14], err) == (0, "one  succeeded", "")
    assert held(store, "runs", "show", "one")[1] == swarm("runs", "show", "one")[1]
    assert held(store, "runs", "events", "one")[1] == swarm("runs", "events", "one")[1]
    assert [path.name for path in store.glob("journal.db*")] == ["journal.db"]
    code, _, err = held(store, "runs", "pause", "one")
    assert code == 2
    assert err.startswith("store.unavailable: "), "what acts needs to write, and says so"


@pytest.mark.skipif(sys.platform != "linux", reason="root is held by a capability of Linux")
def test_what_is_only_in_the_log_is_read_with_its_index_or_missed_with_a_sentence(
    swarm: Callable[..., Said], folder: Path
) -> None:
    kill_in_the_midst(swarm, folder)
    store = folder / ".swarm"
    code, out, _ = held(store, "runs", "list")
    assert (code, out[:4]) == (0, "dead")
    (store / "journal.db-shm").unlink()
    code, out, err = held(store, "runs", "list")
    assert (code, out) == (2, "")
    assert err.startswith("store.unavailable: ")
    assert "some of the store is in its log still" in err
    assert len(err.splitlines()) == 1


def test_the_traceback_of_a_function_that_fails_is_told(
    swarm: Callable[..., Said], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "adding.py").write_text(
        "def add(n: int):\n    return divide(n)\n\ndef divide(n):\n    return n / 0\n"
    )
    with caplog.at_level("WARNING", "swarm"):
        assert swarm("run", "sums.json", "--run-id", "one")[0] == 1
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.name.startswith("swarm.")
    assert record.getMessage().startswith("run one, step $.children[0], attempt 1: ")
    lines = (record.exc_text or caplog.text).splitlines()
    frames = [line for line in lines if line.lstrip().startswith("File ")]
    assert [line.rpartition(" ")[2] for line in frames] == ["add", "divide"], "and nobody else's"


def test_outputs_are_listed_and_read_as_they_were_kept(
    swarm: Callable[..., Said], folder: Path
) -> None:
    (folder / "adding.py").write_text(
        "def add(n: int, step):\n    step.part('note', f'{n} ü')\n    return n + 1\n"
        "from swarm import StepContext\nadd.__annotations__['step'] = StepContext\n"
    )
    swarm("run", "sums.json", "--run-id", "one")
    lines = swarm("runs", "outputs", "one")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["note"] * 3
    name, kind, size, ref, key = lines[0].split()
    assert (name, kind, size, key) == ("note", "text", "4", "$.children[0]")
    wire = json.loads(swarm("runs", "outputs", "one", "--json")[1].splitlines()[0])
    assert wire["ref"].startswith(ref)
    assert wire["key"] == key
    assert swarm("runs", "output", "one", "note")[1] == "3 ü", "the last of a name counts"
    assert swarm("runs", "output", "one", ref)[1] == "1 ü"
    assert swarm("runs", "output", "one", f"{key}/note", "-o", "note.txt")[0] == 0
    body = (folder / "note.txt").read_bytes()
    assert f"sha256:{hashlib.sha256(body).hexdigest()}" == wire["ref"]
    code, _, err = swarm("runs", "output", "one", "nte")
    assert code == 2
    assert err.startswith("output.unknown: run one: ")
    assert "did you mean 'note'?" in err
    code, _, err = swarm("runs", "output", "one", "note", "-o", "no/such/folder")
    assert code == 2
    assert "expected a file that can be written" in err


def test_a_damaged_output_is_one_sentence(swarm: Callable[..., Said], folder: Path) -> None:
    test_outputs_are_listed_and_read_as_they_were_kept(swarm, folder)
    connection = apsw.Connection(".swarm/journal.db")
    # The blueprint's document lies there as well, and is another fault.
    outputs = "instr(cast(body as text), '\"flow\"') = 0"
    connection.execute(f"update blob set body = x'00' where {outputs}")  # noqa: S608
    connection.close()
    code, out, err = swarm("runs", "output", "one", "note")
    assert (code, out) == (1, "")
    assert err.startswith("output.damaged: run one, step $.children[1].body#1: expected output")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["list", "show one", "events one", "questions", "outputs one"])
def test_what_is_no_store_is_not_read_as_one(
    verb: str, swarm: Callable[..., Said], folder: Path
) -> None:
    (folder / ".swarm").mkdir()
    (folder / ".swarm" / "journal.db").write_bytes(b"SQLite format 4" * 400)
    code, out, err = swarm("runs", *verb.split())
    assert (code, out) == (2, "")
    assert err.startswith("store.foreign: .swarm/journal.db: expected a store of swarm, got")


def test_who_followed_a_run_that_rests_is_told_how_it_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = RunOutcome("one", "paused", None, resting("paused", "the run is paused"))
    assert report(Ended(outcome, interrupted=False), as_json=False) == 3  # it has not failed
    told = "run.paused: the run is paused — swarm runs resume one goes on with it\n"
    assert capsys.readouterr().err == told


def test_a_command_whose_run_is_paused_by_another_exits_as_one_that_waits(
    swarm: Callable[..., Said], folder: Path
) -> None:
    document = {
        "swarm": 1,
        "id": "naps",
        "agents": [{"name": "nap", "kind": "process", "argv": ["sleep", "1"]}],
        "flow": {
            "kind": "seq",
            "children": [{"kind": "step", "ref": "nap", "in": "''", "out": "$.a"}] * 60,
        },
    }
    (folder / "naps.json").write_text(json.dumps(document))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(  # noqa: S603 - its own command
        [*COMMAND, "run", "naps.json", "--run-id", "naps", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    ) as followed:
        assert followed.stderr is not None
        assert followed.stderr.readline().decode() == "▸ nap\n"
        assert swarm("runs", "pause", "naps")[0] == 0
        out, err = followed.communicate(timeout=60)
    assert (followed.returncode, json.loads(out)["status"]) == (3, "paused")
    assert err.decode().endswith(" — swarm runs resume naps goes on with it\n")
