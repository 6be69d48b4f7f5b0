"""Runs that wait for people, from the command line: left waiting, answered, asked here."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

ASK = """local flow = require "flow"
local approve = flow.ask "approve" {
  schema = { type = "boolean" }, to = "editor", prompt = "May it be published?",
}
return flow.blueprint {
  id = "ask",
  agents = { approve },
  flow = flow.step { agent = approve, input = "ctx.text", out = "ctx.ok" },
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_STORE", raising=False)
    (tmp_path / "ask.lua").write_text(ASK)
    outer = {
        "swarm": 1,
        "id": "outer",
        "agents": [{"name": "sub", "kind": "flow", "blueprint": "ask.lua"}],
        "flow": {"kind": "step", "ref": "sub", "in": "ctx", "out": "$.sub"},
    }
    (tmp_path / "outer.json").write_text(json.dumps(outer))
    return tmp_path


@pytest.fixture
def swarm(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = invoke(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


LATER = "waits for an answer — swarm runs answer, then swarm runs resume demo"
START = ("run", "ask.lua", "--set", "text=hello", "--run-id", "demo")


def test_a_run_is_left_waiting_answered_and_resumed(swarm: Any) -> None:
    code, out, err = swarm(*START)
    assert (code, out) == (3, "")
    assert "demo:1 (for editor)" in err
    assert "May it be published?" in err
    assert err.splitlines()[-1] == LATER
    code, out, _ = swarm("runs", "questions", "demo", "--json")
    assert code == 0
    assert json.loads(out)["id"] == "demo:1"
    assert swarm("runs", "answer", "demo:1", "true", "--by", "ada")[0] == 0
    code, out, _ = swarm("runs", "resume", "demo")
    assert (code, json.loads(out)) == (0, {"text": "hello", "ok": True})


def test_an_answer_is_told_as_json(swarm: Any) -> None:
    swarm(*START)
    code, out, _ = swarm("runs", "answer", "demo:1", "true", "--json")
    told = {"question": "demo:1", "run_id": "demo", "status": "waiting"}
    assert (code, json.loads(out)) == (0, told)


def test_a_waiting_run_is_said_to_be_so(swarm: Any) -> None:
    code, out, _ = swarm(*START, "--json")
    assert code == 3
    assert json.loads(out) == {"run_id": "demo", "status": "waiting", "ctx": None, "error": None}
    assert "waiting" in swarm("runs", "list")[1]
    assert swarm(*START)[0] == 3
    assert swarm("runs", "resume", "demo")[0] == 3


@pytest.mark.parametrize(
    ("question", "value", "code"),
    [
        ("demo:1", "7", "question.value"),
        ("demo:2", "true", "question.unknown"),
        ("omed:1", "true", "run.unknown"),
        ("demo:1", "yes", "expected JSON"),
    ],
)
def test_a_wrong_answer_is_refused(swarm: Any, question: str, value: str, code: str) -> None:
    swarm(*START)
    exit_code, _, err = swarm("runs", "answer", question, value)
    assert exit_code == 2
    assert code in err


def test_a_second_answer_is_refused(swarm: Any) -> None:
    swarm(*START)
    assert swarm("runs", "answer", "demo:1", "true")[0] == 0
    code, _, err = swarm("runs", "answer", "demo:1", "false")
    assert (code, "question.answered" in err) == (2, True)
    assert swarm("runs", "questions")[1] == ""


def test_the_questions_of_a_run_within_the_run_are_its_own(swarm: Any) -> None:
    code, _, err = swarm("run", "outer.json", "--set", "text=hello", "--run-id", "demo")
    assert code == 3
    assert "May it be published?" in err
    question = json.loads(swarm("runs", "questions", "demo", "--json")[1])
    assert swarm("runs", "answer", question["id"], "true")[0] == 0
    code, out, _ = swarm("runs", "resume", "demo")
    assert (code, json.loads(out)["sub"]["ok"]) == (0, True)


def _started(folder: Path, theirs: int) -> subprocess.Popen[bytes]:
    """Start the run at the terminal of which this is the other end, which is closed here."""
    command = [sys.executable, "-c", "from swarm.cli.main import main; main()", *START]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    child = subprocess.Popen(  # noqa: S603 - our own interpreter
        command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=env, cwd=folder
    )
    os.close(theirs)
    return child


def test_on_a_terminal_the_question_is_asked(folder: Path) -> None:
    ours, theirs = pty.openpty()
    child = _started(folder, theirs)
    seen = ""
    for line in ("maybe\n", "true\n"):
        seen = _read_until(ours, "answer> ")
        os.write(ours, line.encode())
    assert "expected a boolean, got 'maybe'" in seen
    out, _ = child.communicate(timeout=20)
    os.close(ours)
    assert child.returncode == 0
    assert json.loads(out)["ok"] is True


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [(b"\x04", 3, LATER), (b"", 130, "interrupted — swarm runs resume")],
    ids=["end of input", "ctrl-c"],
)
def test_who_leaves_a_question_is_told_how_it_goes_on_below_it(
    folder: Path, typed: bytes, code: int, said: str
) -> None:
    ours, theirs = pty.openpty()
    child = _started(folder, theirs)
    try:
        _read_until(ours, "answer> ")
        if typed:
            os.write(ours, typed)
        else:
            child.send_signal(signal.SIGINT)
        assert said in _read_until(ours, "demo").split("\r\n")[1]
        assert child.wait(timeout=20) == code
    finally:
        child.kill()
        child.communicate()
        os.close(ours)


@pytest.mark.parametrize("by_lines", [True, False])
def test_lines_that_are_pasted_at_once_answer_one_question_after_the_other(
    folder: Path, by_lines: bool
) -> None:
    """A wrong answer, a right one, and that of the next question, in one write.

    A terminal hands them over line by line, or, where some program has told it so, at once.
    """
    script = ASK.replace(
        'flow = flow.step { agent = approve, input = "ctx.text", out = "ctx.ok" },',
        'flow = flow.seq { flow.step { agent = approve, input = "ctx.text", out = "ctx.ok" },'
        ' flow.step { agent = approve, input = "ctx.ok", out = "ctx.sure" } },',
    )
    (folder / "ask.lua").write_text(script)
    ours, theirs = pty.openpty()
    if not by_lines:
        tty.setcbreak(theirs)
    child = _started(folder, theirs)
    try:
        _read_until(ours, "answer> ")
        os.write(ours, b"maybe\ntrue\nfalse\n")
        out, _ = child.communicate(timeout=60)
    finally:
        child.kill()
        os.close(ours)
    assert child.returncode == 0
    assert json.loads(out)["ok"] is True
    assert json.loads(out)["sure"] is False


def _read_until(terminal: int, text: str) -> str:
    seen = ""
    while text not in seen:
        seen += os.read(terminal, 4096).decode()
    return seen


def test_a_timer_survives_the_death_of_its_host(folder: Path, swarm: Any) -> None:
    (folder / "nap.lua").write_text(
        'local flow = require "flow"\n'
        'return flow.blueprint { id = "nap", agents = {}, flow = flow.sleep(1.5) }\n'
    )
    command = [sys.executable, "-c", "from swarm.cli.main import main; main()"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen(  # noqa: S603 - our own interpreter
        [*command, "run", "nap.lua", "--run-id", "nap"], cwd=folder, env=env
    )
    events: list[Any] = []
    while not any(event["kind"] == "timer.set" for event in events):
        time.sleep(0.05)
        _, out, _ = swarm("runs", "events", "nap", "--json")
        events = [json.loads(line) for line in out.splitlines()]
    child.kill()
    child.wait()
    assert swarm("runs", "resume", "nap")[0] == 0
    events = [json.loads(line) for line in swarm("runs", "events", "nap", "--json")[1].splitlines()]
    [due_at] = [event["due_at"] for event in events if event["kind"] == "timer.set"]
    at = {event["kind"]: event["time_s"] for event in events}
    assert due_at <= at["step.finished"] <= max(due_at, at["run.resumed"]) + 1


def test_what_is_no_question_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["runs", "answer", "nosuch", "5"]) == 2
    assert "expected the id of a question, such as RUN:1, got 'nosuch'" in capsys.readouterr().err


def test_who_waits_for_others_shows_what_is_asked_and_ends_with_the_run(
    folder: Path, swarm: Any
) -> None:
    command = [sys.executable, "-c", "from swarm.cli.main import main; main()"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen(  # noqa: S603 - our own interpreter
        [*command, *START, "--wait"],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        asked = next(line for line in child.stderr if line.startswith("? "))
        assert asked == "? demo:1 (for editor)\n"
        assert next(child.stderr) == "  May it be published?\n"
        assert swarm("runs", "answer", "demo:1", "true")[0] == 0
        out, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (child.returncode, json.loads(out)["ok"]) == (0, True)


def test_a_question_whose_deadline_has_passed_keeps_nobody_waiting(
    folder: Path, swarm: Any
) -> None:
    """The run is waiting when the command comes, and is not a moment later: it is followed."""
    script = ASK.replace(
        "schema =", 'deadline_s = 0.2, on_deadline = "default", default = true, schema ='
    )
    (folder / "ask.lua").write_text(script)
    for number in range(5):
        name = f"r{number}"
        assert swarm("run", "ask.lua", "--set", "text=hello", "--run-id", name)[0] == 3
        time.sleep(0.3)
        code, out, err = swarm("runs", "resume", name, "--json")
        assert (code, json.loads(out)["ctx"]) == (0, {"text": "hello", "ok": True}), err
