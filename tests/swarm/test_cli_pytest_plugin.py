"""The pytest plugin, as pytest finds it: in a process of its own, by its entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST_PY = """
import pytest
from flowir import WorkerFailure
from swarm.testing import Real, Scripted

pytestmark = pytest.mark.blueprint("d.lua")

def test_it_runs(rehearse):
    result = rehearse({"n": 1}, w=[Scripted(value="a", after_s=60)], l=Real())
    assert (result.status, result.ctx["b"], result.took_s) == ("succeeded", "a!", 60)
    assert result.path == ["w", "l"]

def test_it_fails(rehearse):
    assert rehearse(w=[WorkerFailure("a.b", "no")]).error["cause_code"] == "a.b"

@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "expected an answer for it"),
        ({"w": ["a", "b"], "l": ["c"]}, "w: expected a call for 'b'"),
        ({"x": [1]}, "expected agents of d.lua, got 'x'"),
    ],
)
def test_a_mistake_does_not_pass(rehearse, answers, said):
    with pytest.raises(AssertionError, match=said):
        rehearse(**answers)
"""
FLOW = """local flow = require "flow"
local w = flow.fn "w"
local l = flow.lua "l" [[ return input .. "!" ]]
return flow.blueprint { id = "d", agents = { w, l }, flow = flow.seq {
  flow.step { agent = w, out = "ctx.a" }, flow.step { agent = l, input = "ctx.a", out = "ctx.b" },
} }
"""
TEST_LUA = """local test = require "flow.test"
return test.suite { blueprint = "d.lua", answers = { l = { "x" } }, cases = {
  test.case "holds" { answers = { w = { "a" } }, expect = { test.ctx("ctx.b", "x") } },
  test.case "not so" { answers = { w = { "a" } }, expect = { test.ctx("ctx.b", "y") } },
} }
"""


def _pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603  our own interpreter and files
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_scripts_are_collected_and_blueprints_are_rehearsed(tmp_path: Path) -> None:
    (tmp_path / "d.lua").write_text(FLOW)
    (tmp_path / "d_test.lua").write_text(TEST_LUA)
    (tmp_path / "test_d.py").write_text(TEST_PY)
    code, said = _pytest(tmp_path)
    assert code == 1
    assert "1 failed, 7 passed" in said, said
    assert "d_test.lua:4: case.unmet: test.ctx: ctx.b: expected 'y', got 'x'" in said
    assert "Traceback" not in said


def test_a_mistake_in_a_script_is_an_error_of_its_collection(tmp_path: Path) -> None:
    (tmp_path / "d.lua").write_text(FLOW)
    (tmp_path / "d_test.lua").write_text(TEST_LUA.replace("w = {", "v = {"))
    code, said = _pytest(tmp_path)
    assert code == 2
    assert "d_test.lua:3: case.agent: " in said
    assert "d_test.lua:4: case.agent: " in said


def test_an_answer_of_the_suite_that_is_of_no_use_fails_where_all_cases_ran(
    tmp_path: Path,
) -> None:
    (tmp_path / "d.lua").write_text(FLOW)
    (tmp_path / "d_test.lua").write_text(TEST_LUA.replace('{ "x" } }', '{ "x", "z" } }'))
    assert "2 failed, 1 passed" in _pytest(tmp_path)[1]
    assert "1 passed, 1 skipped, 1 deselected" in _pytest(tmp_path, "-k", "holds or answers")[1]


def test_loading_it_imports_nothing_of_the_host() -> None:
    script = (
        "import sys, swarm.cli.pytest_plugin\n"
        "print(*sorted({'flowir', 'lupa', 'apsw', 'pydantic', 'swarm.testing'} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter and script
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
