"""`swarm test`: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest

from swarm.cli.exits import WrongUse
from swarm.cli.main import invoke
from swarm.cli.testing_watch import changes

FLOW = """
local flow = require "flow"
local w = flow.fn "w"
return flow.blueprint { id = "d", agents = { w }, flow = flow.seq {
  flow.step { agent = w, out = "ctx.a" },
  flow.branch { when = "ctx.a == 1", run = flow.assign { at = "ctx.b", value = 1 } },
} }
"""
TEST = """
local test = require "flow.test"
return test.suite {{ blueprint = "d.lua", cases = {{
  test.case "One" {{ answers = {{ w = {{ 1 }} }}, expect = {{ {one} }} }},
  test.case "two" {{ answers = {{ w = {{ 2 }} }}, expect = {{ test.calls("w", 1) }} }},
}} }}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.lua").write_text(FLOW)
    _write(tmp_path)


def _write(folder: Path, one: str = 'test.ctx("ctx.b", 1)') -> None:
    (folder / "d_test.lua").write_text(TEST.format(one=one))


@pytest.mark.parametrize("path", [[], ["."], ["d_test.lua"], ["d.lua"], ["d.lua", "."]])
def test_all_pass_and_all_is_covered(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["test", *path, "--fail-under", "100"]) == 0
    out = capsys.readouterr().out
    assert out == "d_test.lua: 2 passed\nd.lua: 4 of 4 nodes, 2 of 2 ways\n"


def test_a_case_that_fails_exits_1_on_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "test.ctx('ctx.b', 2)")
    assert invoke(["test"]) == 1
    assert capsys.readouterr().out.split("\n")[:3] == [
        "d_test.lua: 1 passed, 1 failed",
        "  FAILED One",
        "    d_test.lua:4: case.unmet: test.ctx: ctx.b: expected 2, got 1",
    ]


def test_a_mistake_exits_2_and_check_tells_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "test.calls('x', 1)")
    said = "d_test.lua:4: case.step: test.calls: expected an agent of the blueprint, got 'x'"
    assert invoke(["test"]) == 2
    assert said in capsys.readouterr().out
    assert invoke(["check", "d_test.lua"]) == 2
    assert said in capsys.readouterr().out
    _write(tmp_path)
    assert invoke(["check", "d_test.lua", "d.lua"]) == 0


def test_a_filter_chooses_and_what_is_left_out_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["test", "--filter", "one"]) == 0
    assert capsys.readouterr().out == (
        "d_test.lua: 1 passed, 1 left out\n"
        "d.lua: 4 of 4 nodes, 1 of 2 ways by the cases that were chosen\n"
        "  d.lua:6: case.untaken: this branch is never false\n"
    )
    assert invoke(["test", "--filter", "one", "--fail-under", "100"]) == 1
    assert "d.lua: expected 100 % covered, got 83.3 %" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "nothing: expected a test script, a blueprint or a folder, found nothing"),
        (["e.lua"], "e.lua: expected e_test.lua beside it, found none"),
        (["empty"], "empty: expected a file *_test.lua, found none"),
        (["--filter", "three"], "--filter: expected a part of a case's name, got 'three'"),
    ],
)
def test_wrong_use_is_a_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.lua").write_text("")
    (tmp_path / "empty").mkdir()
    assert invoke(["test", *arguments]) == 2
    assert capsys.readouterr().err.strip() == said


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, "test.took(1)")
    assert invoke(["test", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["failed"], told["errors"], told["mistakes"]) == (1, 1, 0, 0)
    (suite,) = told["suites"]
    assert suite["cases"][0]["problems"][0]["line"] == 4
    assert suite["cases"][0]["agents"] == ["w"]
    (coverage,) = told["coverage"]
    assert coverage["blueprint"] == "d.lua"
    assert coverage["lines"] == {"d.lua": {"4": 2, "5": 2, "6": 2}}
    assert coverage["percent"] == 100


def test_update_writes_the_golden_logs(tmp_path: Path) -> None:
    _write(tmp_path, "test.golden 'one'")
    assert invoke(["test"]) == 1
    assert invoke(["test", "--update"]) == 0
    assert invoke(["test"]) == 0
    assert len((tmp_path / "golden/one.jsonl").read_text().splitlines()) == 4


@pytest.mark.anyio
async def test_a_change_of_a_blueprint_is_seen_and_one_of_a_golden_log_is_not(
    tmp_path: Path,
) -> None:
    seen: list[int] = []
    (tmp_path / "golden").mkdir()

    async def write() -> None:
        # The watcher says nothing of when it has begun to look.
        for n in range(600):
            (tmp_path / "golden/x.jsonl").write_text(str(n))
            await anyio.sleep(0.05)
            if n > 20:
                (tmp_path / "d.lua").write_text(f"{FLOW}-- {n}")
                seen.append(n)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        with anyio.fail_after(60):
            async for _ in changes([tmp_path / "d_test.lua"]):
                break
        assert seen != []
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_without_the_package_watching_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(WrongUse, match=r"expected the package watchfiles, found none"):
        async for _ in changes([tmp_path]):
            pass


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_what_tests_leave_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, "test.took(0)")
    child = 'return flow.blueprint { id = "c", agents = {}, flow = flow.seq {} }'
    (tmp_path / "c.lua").write_text(f'local flow = require "flow"\n{child}')
    outer = FLOW.replace('flow.fn "w"', 'flow.sub "w" { blueprint = "c.lua" }')
    assert outer != FLOW
    (tmp_path / "d.lua").write_text(outer)
    (tmp_path / "swarm.toml").write_text("[layers]\nretry = { max_attempts = 2 }\n")
    invoke(["test"])
    shown = capsys.readouterr()
    assert "not counted: what is within 'w', a blueprint with tests of its own" in shown.out
    assert shown.err.strip().endswith("swarm.toml: its layers do not stand around tests: retry")
