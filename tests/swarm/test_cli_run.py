from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

HELLO = """local flow = require "flow"
local greeter = flow.lua "greeter" [[ return "Hello, " .. input .. "!" ]]
return flow.blueprint {
  id = "hello",
  agents = { greeter },
  flow = flow.step { agent = greeter, input = "ctx.name", out = "ctx.greeting" },
}
"""

FAILING = """local flow = require "flow"
local fussy = flow.lua "fussy" [[ swarm.fail("text.dull", "too dull: " .. input) ]]
return flow.blueprint {
  id = "failing",
  agents = { fussy },
  flow = flow.seq {
    flow.assign { at = "ctx.text", value = "'tea'" },
    flow.step { agent = fussy, input = "ctx.text" },
  },
}
"""

SHOUT = {
    "swarm": 1,
    "id": "shout",
    "agents": [{"name": "shout", "kind": "function", "function": "shout"}],
    "flow": {"kind": "step", "ref": "shout", "in": "ctx.text", "out": "ctx.loud"},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.lua").write_text(HELLO)
    (tmp_path / "failing.lua").write_text(FAILING)
    (tmp_path / "shout.json").write_text(json.dumps(SHOUT))
    (tmp_path / "voice.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    return tmp_path


@pytest.fixture
def swarm(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = invoke(["run", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_the_final_context_goes_to_stdout_and_progress_to_stderr(swarm: Any) -> None:
    code, out, err = swarm("hello.lua", "--set", "name=Ada")
    assert code == 0
    assert json.loads(out) == {"name": "Ada", "greeting": "Hello, Ada!"}
    assert err.startswith("▸ greeter\n✓ greeter: ")
    assert "✓ finished: " in err


def test_json_gives_one_object_with_four_members(swarm: Any) -> None:
    code, out, _ = swarm("hello.lua", "--input", '{"name": "Ada"}', "--json", "--run-id", "r1")
    assert code == 0
    assert json.loads(out) == {
        "run_id": "r1",
        "status": "succeeded",
        "ctx": {"name": "Ada", "greeting": "Hello, Ada!"},
        "error": None,
    }


def test_a_failed_run_says_why_on_the_authors_line(swarm: Any) -> None:
    code, out, err = swarm("failing.lua")
    assert code == 1
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("failing.lua:8: step.failed (text.dull): ")
    assert "too dull: tea" in last


def test_a_failed_run_as_json_has_its_error(swarm: Any) -> None:
    code, out, _ = swarm("failing.lua", "--json")
    result = json.loads(out)
    assert code == 1
    assert (result["status"], result["ctx"]) == ("failed", None)
    assert result["error"]["code"] == "step.failed"
    assert result["error"]["cause_code"] == "text.dull"
    assert result["error"]["step"] == "fussy"


def test_a_function_may_be_named_by_an_option(swarm: Any) -> None:
    code, out, _ = swarm("shout.json", "--set", "text=hi", "--function", "shout=voice.py:shout")
    assert code == 0
    assert json.loads(out)["loud"] == "HI"


def test_a_function_may_be_named_by_the_project(swarm: Any, folder: Path) -> None:
    (folder / "swarm.toml").write_text('[functions]\nshout = "voice:shout"\n')
    code, out, _ = swarm("shout.json", "--set", "text=hi")
    assert code == 0
    assert json.loads(out)["loud"] == "HI"


def test_an_invalid_blueprint_exits_2_with_its_problems_on_stderr(swarm: Any) -> None:
    code, out, err = swarm("shout.json")
    assert code == 2
    assert out == ""
    assert err.startswith("shout.json:")
    assert "function.unknown" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.lua"], "nowhere.lua"),
        (["hello"], "got none of that id — for the file, say 'hello.lua'"),
        (["hello@1.0.0"], "got none of that id"),
        (["."], "blueprint id: expected 1 to 63 of"),
        (["./"], "./"),
        (["hello.lua", "--input", "{"], "--input"),
        (["hello.lua", "--input", "@no.json"], "no.json"),
        (["hello.lua", "--set", "name"], "--set"),
        (["hello.lua", "--run-id", "a/b"], "a/b"),
        (["hello.lua", "--function", "x"], "--function"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(swarm: Any, arguments: list[str], words: str) -> None:
    code, out, err = swarm(*arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


WATCHED = """
import sys
from swarm.lua.process import ScriptProcess
begun, started = ScriptProcess.__init__, []
def begin(self):
    started.append("swarm.host.host" in sys.modules)
    begun(self)
ScriptProcess.__init__ = begin
from swarm.cli.main import invoke
code = invoke(["run", *sys.argv[1:]])
print(code, started, file=sys.stderr)
"""


def test_the_one_child_of_a_command_starts_before_the_host_is_imported() -> None:
    command = [sys.executable, "-c", WATCHED, "hello.lua", "--set", "name=Ada", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603
    assert json.loads(done.stdout)["ctx"]["greeting"] == "Hello, Ada!"
    assert done.stderr.splitlines()[-1] == "0 [False]"
