"""Programs, with real ones: what they are given, what they say, and how it is read.

How they fail and end is in `test_workers_process_faults.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm
from swarm.blueprint.agent import AgentSpec
from swarm.errors import Refused
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import CostlyFailure, Toolbox, Usage
from swarm.workers.process.child import Patience
from swarm.workers.process.environment import base_environment
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.house import ProcessHouse
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.process.workdir import remove_tree
from tests.swarm.programs import Shop, is_alive, open_shop, python, sh, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def shop() -> Generator[Shop]:
    """One nursery for all: it belongs to no event loop."""
    with open_shop(patience=Patience(grace_s=0.5, drain_s=0.5)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def silence(shop: Shop) -> None:
    shop.told.texts.clear()


# ---- what goes in and what comes out -------------------------------------------------


async def test_text_goes_in_and_out_as_it_is(shop: Shop) -> None:
    assert await shop.value(["cat"], "hello ✓\r\n\n") == "hello ✓\r\n"
    assert await shop.value(["cat"]) == ""


async def test_one_last_newline_is_taken_away(shop: Shop) -> None:
    assert await shop.value(["printf", "a\n\n"]) == "a\n"
    assert await shop.value(["printf", "a\r\n"]) == "a"
    assert await shop.value(["printf", " a "]) == " a "


async def test_json_goes_in_and_out(shop: Shop) -> None:
    value = {"n": [1, 2.5, None, "ä"]}
    assert await shop.value(["cat"], value, input="json", output="json") == value


async def test_text_input_must_be_text(shop: Shop) -> None:
    error = await shop.failure(["cat"], {"a": 1})
    assert (error.code, error.permanent) == ("process.input", True)
    assert "expected a string as input, got object" in error.message


async def test_a_program_that_does_not_read_its_stdin_is_no_failure(shop: Shop) -> None:
    assert await shop.value(["echo", "done"], "y" * 1_000_000) == "done"


async def test_no_stdin_is_an_empty_one(shop: Shop) -> None:
    assert await shop.value(["cat"], {"a": 1}, input="none") == ""


async def test_stdin_may_be_a_template(shop: Shop) -> None:
    fields = {"stdin": "{instructions}\n---\n{input.text}", "instructions": "Be brief."}
    assert await shop.value(["cat"], {"text": "hi"}, **fields) == "Be brief.\n---\nhi"


async def test_the_input_may_be_a_file(shop: Shop) -> None:
    argv = ["sh", "-c", 'basename "$0"; cat "$0"', "{input_file}"]
    assert await shop.value(argv, {"a": 1}) == 'input.json\n{"a":1}'
    assert await shop.value(argv, "text") == "input.txt\ntext"
    assert await shop.value(argv, "text", input="json") == 'input.json\n"text"'


# ---- templates -----------------------------------------------------------------------


async def test_every_placeholder_is_filled_in(shop: Shop) -> None:
    names = ("agent", "model", "run_id", "step", "key", "attempt", "idempotency_key", "timeout_s")
    argv = ["printf", r"%s\n", *(f"{name}={{{name}}}" for name in names), "{{{input.a.1}}}"]
    said = await shop.value(argv, {"a": [0, {"b": True}]}, model="large", timeout_s=30.0, attempt=2)
    assert said.splitlines() == [
        "agent=tool",
        "model=large",
        "run_id=r_1",
        "step=the_step",
        "key=$",
        "attempt=2",
        "idempotency_key=r_1/$/2",
        "timeout_s=30",
        '{{"b":true}}',
    ]


async def test_a_variable_is_a_template_too(shop: Shop) -> None:
    assert await shop.value(["printenv", "NOTE"], "x y", env={"NOTE": "<{input}>"}) == "<x y>"


async def test_a_member_that_the_input_lacks_is_a_failure(shop: Shop) -> None:
    error = await shop.failure(["echo", "{input.a.b}"], {"a": []})
    assert (error.code, error.permanent) == ("process.placeholder", True)
    assert "expected a member 'b' in the step's input, got array" in error.message


# ---- where it runs -------------------------------------------------------------------


async def test_it_works_in_the_blueprint_s_folder_and_has_a_directory_of_its_own(
    tmp_path: Path,
) -> None:
    with open_shop(tmp_path) as shop:
        said = await shop.value(["sh", "-c", "pwd; echo $HOME; stat -c %a $HOME; umask"])
        here, home, mode, umask = said.splitlines()
        assert (here, mode, umask) == (str(tmp_path), "700", "0077")
        assert home.rpartition("/")[2] not in os.listdir(shop.house.workdirs.root)
        own = await shop.value(["pwd"], cwd="{workdir}")
        assert Path(own).parent == Path(home).parent
        assert own != home


async def test_the_directory_of_a_failed_attempt_can_be_kept(tmp_path: Path) -> None:
    with open_shop(keep_workdir=True) as shop:
        error = await shop.failure(sh("echo draft > notes; exit 1"), cwd="{workdir}")
        kept = Path(error.data["workdir"])
        assert (kept / "notes").read_text() == "draft\n"
        assert error.data["exit_code"] == 1
        fine = await shop.value(["pwd"], cwd="{workdir}")
        assert fine.rpartition("/")[2] not in os.listdir(shop.house.workdirs.root)
        shutil.rmtree(kept.parent.parent)


def test_python3_is_found_where_the_path_has_none(tmp_path: Path) -> None:
    path = base_environment(tmp_path, (), {"PATH": "/nowhere"})["PATH"].split(os.pathsep)
    assert path == ["/nowhere", str(Path(sys.executable).parent)]


def test_a_deep_tree_with_no_permissions_is_taken_down(tmp_path: Path) -> None:
    top = tmp_path / "top"
    here = top
    for _ in range(60):
        here = here / "d"
    here.mkdir(parents=True)
    (here / "file").write_text("x")
    (top / "link").symlink_to(tmp_path)
    for folder in (here, top / "d"):
        folder.chmod(0)
    remove_tree(top)
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_is_deeper_than_a_path_is_long_is_taken_down(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(top)
    assert not top.exists()


# ---- messages as they come -----------------------------------------------------------


async def test_lines_are_told_and_the_last_is_the_answer(shop: Shop) -> None:
    assert await shop.value(["printf", "one\n\ntwo\nthree\n\n"], output="lines") == "three"
    assert shop.told.texts == ["one", "two", "three"]
    said = await shop.value(["printf", "a\n\nb\n"], output="lines", result="all")
    assert said == ["a", "", "b"]


async def test_a_message_is_told_while_the_program_still_runs(shop: Shop) -> None:
    """It says its second word when the first was told: else it waits for ever."""
    script = (
        'import os, sys\nprint(\'{"say": "first"}\', flush=True)\n'
        'os.read(os.open(sys.argv[1], os.O_RDONLY), 1)\nprint(\'{"say": "second"}\')'
    )

    class Answering:
        def __init__(self, fifo: Path) -> None:
            self.fifo = fifo

        def append(self, text: str) -> None:
            if text == "first":
                fd = os.open(self.fifo, os.O_WRONLY)
                os.write(fd, b"x")
                os.close(fd)

    fifo = shop.house.workdirs.root / "fifo"
    os.mkfifo(fifo)
    told, shop.told.texts = shop.told.texts, Answering(fifo)  # type: ignore[assignment]
    try:
        with anyio.fail_after(60):
            said = await shop.value(
                python(script, str(fifo)), output="ndjson", result="/say", progress="/say"
            )
    finally:
        shop.told.texts = told
        fifo.unlink()
    assert said == "second"


MESSAGES = (
    {"text": "thinking"},
    {"text": "writing", "usage": {"in": 10, "out": 1}},
    {"text": "done", "data": {"text": "the answer"}, "usage": {"in": 10, "out": 32}, "cost": 0.5},
    {"bye": True},
)


def saying(form: str) -> list[str]:
    """Return a program that says the messages in a form."""
    script = (
        "import json, struct, sys\n"
        "for m in json.loads(sys.argv[2]):\n"
        "    b = json.dumps(m).encode()\n"
        "    sys.stdout.buffer.write({'ndjson': b + b'\\n',\n"
        "        'frames': struct.pack('!I', len(b)) + b,\n"
        "        'sse': b'id: 1\\ndata: ' + b.replace(b', ', b',\\ndata: ') + b'\\n\\n'\n"
        "        }[sys.argv[1]])\n"
        "if sys.argv[1] == 'sse': sys.stdout.write(': note\\n\\ndata: [DONE]\\n\\n')"
    )
    return python(script, form, json.dumps(MESSAGES).replace("{", "{{").replace("}", "}}"))


@pytest.mark.parametrize("form", ["ndjson", "sse", "frames"])
async def test_answer_and_usage_are_found_by_pointers(shop: Shop, form: str) -> None:
    outcome = await shop.ask(
        saying(form),
        output=form,
        result="/data/text",
        progress="/text",
        usage={"tokens": ["/usage/in", "/usage/out"], "cost": "/cost"},
    )
    assert outcome.value == "the answer"
    assert outcome.usage == Usage(42, 0.5)
    assert shop.told.texts == ["thinking", "writing", "done"]


async def test_progress_may_be_silenced_and_all_messages_taken(shop: Shop) -> None:
    said = await shop.value(saying("ndjson"), output="ndjson", result="all", progress=False)
    assert said == list(MESSAGES)
    assert shop.told.texts == []


async def test_a_pointer_reads_a_whole_document_too(shop: Shop) -> None:
    argv = ["echo", '{{"data": {{"text": "x"}}, "n": 3}}']
    outcome = await shop.ask(
        argv, output="json", result="/data/text", usage={"tokens": "/n", "cost": "/nothing"}
    )
    assert (outcome.value, outcome.usage) == ("x", Usage(3))
    assert shop.told.texts == ["nothing was counted as used: no number at '/nothing' in the output"]


async def test_an_answer_that_is_not_there_is_a_failure(shop: Shop) -> None:
    error = await shop.failure(["echo", "{{}}"], output="json", result="/data")
    assert error.code == "process.output"
    error = await shop.failure(["true"], output="ndjson")
    assert error.code == "process.output"
    assert "ended without a message" in error.message


async def test_an_error_by_pointer_fails_the_step_and_counts_what_it_used(shop: Shop) -> None:
    argv = ["echo", '{{"error": {{"type": "overloaded"}}, "n": 7}}']
    error = await shop.failure(argv, output="json", error="/error", usage={"tokens": "/n"})
    assert error.code == "process.error"
    assert error.data["error"] == {"type": "overloaded"}
    assert isinstance(error, CostlyFailure)
    assert error.usage == Usage(7)
    argv = ["echo", '{{"error": null, "n": 7}}']
    assert await shop.value(argv, output="json", error="/error", result="/n") == 7


async def test_garbage_in_a_stream_says_where_and_how_the_program_ended(shop: Shop) -> None:
    error = await shop.failure(sh("echo 1; echo oops"), output="ndjson")
    assert (error.code, "line 2" in error.message) == ("process.output", True)
    error = await shop.failure(sh("echo Error; echo no login >&2; exit 4"), output="ndjson")
    assert error.code == "process.exit"
    assert error.message.endswith("exited with code 4; last line 'no login'")


async def test_a_frame_that_is_cut_off_is_a_failure(shop: Shop) -> None:
    error = await shop.failure(["printf", r"\0\0\0\011[1]"], output="frames")
    assert error.code == "process.output"
    error = await shop.failure(["printf", r"\377\0\0\0"], output="frames")
    assert error.code == "process.line_limit"


async def test_a_thousand_messages_are_told_and_the_others_counted(shop: Shop) -> None:
    assert await shop.value(["seq", "1005"], output="lines") == "1005"
    assert len(shop.told.texts) == 1001
    assert shop.told.texts[-1] == "5 messages more were heard, and not told"


# ---- parts ---------------------------------------------------------------------------


async def test_files_become_parts(shop: Shop) -> None:
    parts = {
        "report": "out/report.md",
        "data": {"file": "data.json", "as": "json"},
        "image": {"file": "image", "as": "base64"},
        "more": {"file": "more", "optional": True},
    }
    script = "mkdir out; echo hi > out/report.md; echo [1] > data.json; printf '\\377' > image"
    outcome = await shop.ask(sh(script), parts=parts, cwd="{workdir}")
    assert outcome.parts == {"report": "hi\n", "data": [1], "image": "/w=="}


async def test_a_part_that_is_missing_or_wrong_is_a_failure(shop: Shop) -> None:
    error = await shop.failure(["true"], parts={"report": "report.md"}, cwd="{workdir}")
    assert error.code == "process.part"
    assert "part 'report': 'report.md' is not there" in error.message
    part = {"report": {"file": "r", "as": "json"}}
    error = await shop.failure(sh("echo oops > r"), parts=part, cwd="{workdir}")
    assert "is no json" in error.message


# ---- secrets -------------------------------------------------------------------------

WORD = 'sesame-"open"-sesame'


async def test_a_secret_comes_on_a_pipe_and_goes_nowhere_else() -> None:
    with open_shop() as shop:
        shop.house.secrets.add("key", WORD)
        script = (
            "import json, os, sys\n"
            "told = json.load(os.fdopen(int(sys.argv[1])))\n"
            "where = [open(f'/proc/self/{n}').read() for n in ('environ', 'cmdline')]\n"
            "print(json.dumps([len(told['key']), [told['key'] in w for w in where]]))"
        )
        argv = python(script, "{secrets_fd}")
        assert await shop.value(argv, secrets=["key"], output="json") == [20, [False, False]]
        script = "import json, sys; print(len(json.loads(input())['key']), input())"
        said = await shop.value(python(script), "hi", secrets=["key"], secrets_to="stdin")
        assert said == "20 hi"
        assert WORD not in repr(shop.house.secrets)


async def test_what_a_program_says_is_without_its_secrets() -> None:
    with open_shop() as shop:
        shop.house.secrets.add("key", WORD)
        fields: dict[str, Any] = {"secrets": ["key"], "secrets_to": "stdin"}
        script = (
            "import json, sys; k = json.loads(input())['key']\n"
            "print(json.dumps({'k': k, k: [k]})); sys.stderr.write('x' * 9 + k + 'y' * 8)\n"
            "sys.exit(int(sys.argv[1]))"
        )
        said = await shop.value(python(script, "0"), output="ndjson", **fields)
        assert said == {"k": "[secret key]", "[secret key]": ["[secret key]"]}
        assert WORD not in str(shop.told.texts)
        error = await shop.failure(python(script, "1"), **fields)
        assert error.data["stderr"] == "xxxxxxxxx[secret key]yyyyyyyy"
        assert WORD not in error.message
        cut = {"stderr_bytes": 15}
        error = await shop.failure(python(script, "1"), limits=cut, **fields)
        assert error.data["stderr"] == "ret key]yyyyyyyy"[-15:]


@pytest.mark.parametrize("value", ["hunter2", "x" * 70_000])
def test_a_secret_that_could_not_be_kept_is_refused(value: str) -> None:
    with pytest.raises(Refused) as caught:
        swarm.Host.in_memory().secret("key", value)
    assert caught.value.code == "secret.value"
    assert value not in str(caught.value)
    with pytest.raises(Refused):
        swarm.Host.in_memory().secret("no name", "long enough")


# ---- the settings of the host --------------------------------------------------------


async def test_limits_reach_the_program(shop: Shop) -> None:
    script = (
        "import json, resource as r\n"
        "print(json.dumps([r.getrlimit(getattr(r, 'RLIMIT_' + n))[0]"
        " for n in ('AS', 'CPU', 'FSIZE', 'NOFILE', 'CORE')]))"
    )
    mebi = 1024 * 1024
    said = await shop.value(python(script), output="json", timeout_s=9.5)
    assert said == [1024 * mebi, 15, 64 * mebi, 256, 0]
    limits = {"memory_bytes": None, "open_files": 40, "cpu_s": 7}
    said = await shop.value(python(script), output="json", limits=limits)
    assert said == [-1, 7, 64 * mebi, 40, 0]


async def test_it_cannot_win_rights(shop: Shop) -> None:
    assert "NoNewPrivs:\t1" in await shop.value(["cat", "/proc/self/status"])


async def test_it_leads_a_session_of_its_own(shop: Shop) -> None:
    script = "import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"
    assert await shop.value(python(script)) == "True"


async def waiting_keeper(shop: Shop) -> int:
    """Run a program; return the keeper that waits for the next, which was forked after it."""
    number = int(await shop.value(sh("echo $$")))
    assert shop.house.nursery.spares == 1
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [pid for pid in shop.keepers() if pid > number]
        return bool(found)

    await until(is_there)
    return found[0]


async def test_a_keeper_waits_for_the_next_program_and_goes_with_the_host() -> None:
    with open_shop() as shop:
        first = await waiting_keeper(shop)
        if sys.platform == "linux":
            # The door is not among what a program could be handed by mistake.
            assert os.readlink(f"/proc/{first}/fd/0") == os.devnull
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(shop.value, ["true"])
        assert shop.house.nursery.spares == 1
        last = await waiting_keeper(shop)
        assert last != first
    await until(lambda: not is_alive(last))
    assert shop.house.nursery.spares == 0


async def test_a_keeper_that_was_killed_while_it_waited_is_not_handed_out() -> None:
    with open_shop() as shop:
        waiting = await waiting_keeper(shop)
        os.kill(waiting, 9)
        await until(lambda: not is_alive(waiting))
        assert await shop.value(["echo", "on"]) == "on"


async def test_a_program_that_is_given_up_as_it_starts_is_asked_to_end(tmp_path: Path) -> None:
    """It may be at work before the host has heard of it."""
    with open_shop(tmp_path) as shop:
        for number in range(8):
            files = [tmp_path / f"{name}{number}" for name in ("up", "bye")]
            script = f"trap 'echo > {files[1]}; exit' TERM; echo > {files[0]}; sleep 9 & wait"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shop.ask, sh(script))
                while not files[0].exists():
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert files[1].exists()


async def test_a_nursery_that_was_killed_is_started_again() -> None:
    with open_shop() as shop:
        assert await shop.value(["echo", "one"]) == "one"
        assert shop.house.nursery.pid is not None
        os.kill(shop.house.nursery.pid, 9)
        with anyio.fail_after(20):
            while is_alive(shop.house.nursery.pid):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.002)
        assert await shop.value(["echo", "two"]) == "two"


@pytest.mark.parametrize("by", ["KILL", "STOP"])
async def test_a_program_that_ends_or_stops_its_keeper_ends_with_it(by: str) -> None:
    with open_shop() as shop:
        error = await shop.failure(
            sh(f"setsid sleep 1000 & sleep 0.1; kill -{by} $PPID; sleep 999")
        )
        assert error.code == "process.lost"
        with anyio.fail_after(20):
            while shop.left():  # noqa: ASYNC110 - other processes
                await anyio.sleep(0.002)


def test_there_is_one_place_that_may_write_a_private_directory(tmp_path: Path) -> None:
    house = ProcessHouse()
    house.open(tmp_path)
    made = house.workdirs.make()
    assert made.parent == tmp_path.resolve() / "processes"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    house.close()


# ---- what is wrong before anything runs ----------------------------------------------


def problems(folder: Path | None = None, **settings: Any) -> list[tuple[str, str]]:
    return [(code, field) for code, field, _ in told(folder, **settings)]


def told(folder: Path | None = None, **settings: Any) -> list[tuple[str, str, str]]:
    house = ProcessHouse(ProcessSettings(most={"memory_bytes": 1000}))
    house.secrets.add("key", "long enough")
    agent = AgentSpec("tool", "process", {"argv": ["x"], **settings})
    tools = Toolbox(InlineScripts(), {}, folder, secrets=house.secrets)
    found = ProcessFactory(house).problems(agent, tools)
    return [(p.code, p.field, f"{p.message} — {p.hint}") for p in found]


WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"argv": "ls -l"}, [("process.argv", "argv")]),
    ({"argv": []}, [("process.argv", "argv")]),
    ({"argv": ["x", 1, "a\0b"]}, [("process.argv", "argv[1]"), ("process.argv", "argv[2]")]),
    ({"argv": [""]}, [("process.argv", "argv[0]")]),
    ({"argv": ["{input}"]}, [("process.argv", "argv[0]")]),
    ({"argv": ["x", "{inptu}"]}, [("process.placeholder", "argv[1]")]),
    ({"argv": ["x", "a { b"]}, [("process.placeholder", "argv[1]")]),
    ({"argv": ["x", "{model}"]}, [("process.placeholder", "argv[1]")]),
    ({"argv": ["x", "{secrets_fd}"]}, [("process.secrets", "argv")]),
    (
        {"input": "xml", "output": 1},
        [("process.input", "input"), ("process.output_form", "output")],
    ),
    ({"stdin": 1}, [("process.input", "stdin")]),
    ({"env": []}, [("process.env", "env")]),
    ({"env": {"mode": "x"}}, [("process.env", "env.mode")]),
    ({"env": {"MODE": 1}}, [("process.env", "env.MODE")]),
    ({"env": {"MODE": "{nope}"}}, [("process.placeholder", "env.MODE")]),
    ({"cwd": 1}, [("process.cwd", "cwd")]),
    ({"result": "/a"}, [("process.pointer", "result")]),
    ({"result": "all"}, [("process.pointer", "result")]),
    ({"result": "a", "output": "json"}, [("process.pointer", "result")]),
    ({"progress": "/a", "output": "json"}, [("process.pointer", "progress")]),
    ({"error": 1, "output": "json"}, [("process.pointer", "error")]),
    ({"usage": {"token": "/a"}, "output": "json"}, [("process.pointer", "usage")]),
    ({"usage": {"cost": ["/a", 1]}, "output": "json"}, [("process.pointer", "usage.cost")]),
    ({"exit_ok": [0, 256]}, [("process.exit_ok", "exit_ok")]),
    ({"exit_ok": []}, [("process.exit_ok", "exit_ok")]),
    ({"parts": ["a"]}, [("process.parts", "parts")]),
    ({"parts": {"a": "/etc/passwd"}}, [("process.parts", "parts.a")]),
    ({"parts": {"a": "b/../../c"}}, [("process.parts", "parts.a")]),
    ({"parts": {"a": {"file": "b", "as": "xml"}}}, [("process.parts", "parts.a")]),
    ({"parts": {"a": {"file": "b", "form": "json"}}}, [("process.parts", "parts.a")]),
    ({"parts": {"a": {"file": "b", "optional": 1}}}, [("process.parts", "parts.a")]),
    ({"secrets": "key"}, [("process.secrets", "secrets")]),
    ({"secrets": ["key"]}, [("process.secrets", "secrets")]),
    ({"secrets": ["kee"], "secrets_to": "stdin"}, [("process.secrets", "secrets[0]")]),
    ({"secrets_to": "env"}, [("process.secrets", "secrets_to")]),
    ({"limits": 1}, [("process.limits", "limits")]),
    ({"limits": {"memory": 1}}, [("process.limits", "limits.memory")]),
    ({"limits": {"cpu_s": 0}}, [("process.limits", "limits.cpu_s")]),
    ({"limits": {"memory_bytes": 1001}}, [("process.limits", "limits.memory_bytes")]),
    ({"limits": {"memory_bytes": None}}, [("process.limits", "limits.memory_bytes")]),
    ({"limits": {"output_bytes": None}}, [("process.limits", "limits.output_bytes")]),
]
RIGHT: list[dict[str, Any]] = [
    {},
    {"argv": ["{folder}/x", "{{}}", "--name={input.a}"]},
    {"env": {"MODE": "x", "A_1": ""}},
    {"argv": ["x", "{model}"], "model": "large"},
    {"argv": ["x", "{secrets_fd}"], "secrets": ["key"]},
    {"output": "sse", "result": "/a/0/b~1c", "progress": False, "usage": {"tokens": ["/a", "/b"]}},
    {"parts": {"a": "b/c.md"}, "exit_ok": [0, 1], "cwd": "{workdir}"},
    {"limits": {"memory_bytes": 1000, "cpu_s": None, "line_bytes": 10}},
]


@pytest.mark.parametrize(("settings", "expected"), WRONG)
def test_wrong_settings_are_found(settings: dict[str, Any], expected: list[Any]) -> None:
    assert problems(**settings) == expected


@pytest.mark.parametrize("settings", RIGHT)
def test_right_settings_have_no_problem(settings: dict[str, Any]) -> None:
    assert problems(**settings) == []


def test_a_problem_says_what_to_write_instead() -> None:
    [(_, _, said)] = told(argv=["x", "{inptu}"])
    assert said == "expected a placeholder, got '{inptu}' — did you mean 'input'?"
    [(_, _, said)] = told(argv=["x", "awk {print}"])
    assert said.startswith("expected a placeholder, got '{print}'")
    [(_, _, said)] = told(argv=["x", '{"a": 1}'])
    assert said.endswith("write '{{' for '{' and '}}' for '}'")


def test_only_the_programs_that_the_host_names_may_be_started() -> None:
    house = ProcessHouse(ProcessSettings(programs=("git", "wc")))
    factory, tools = ProcessFactory(house), Toolbox(InlineScripts(), {})
    found = list(factory.problems(AgentSpec("a", "process", {"argv": ["rm", "-r"]}), tools))
    assert [(p.code, p.field) for p in found] == [("process.program", "argv[0]")]
    assert not list(factory.problems(AgentSpec("a", "process", {"argv": ["wc"]}), tools))


def test_a_folder_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert problems(tmp_path, cwd="there") == []
    assert problems(tmp_path, cwd="gone") == [("process.cwd", "cwd")]
