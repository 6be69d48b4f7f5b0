"""What an author or a shell may get wrong: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

HEAD = 'local flow = require "flow"\n'
RETURN = (
    'return flow.blueprint {{ id = "a", flow = flow.assign {{ at = "ctx.x", value = {value} }} }}'
)


def _deep(levels: int) -> str:
    node: dict[str, Any] = {"kind": "seq", "children": []}
    for _ in range(levels):
        node = {"kind": "seq", "children": [node]}
    return json.dumps({"swarm": 1, "id": "deep", "agents": [], "flow": node})


INVALID = {
    "syntax.lua": "return {",
    "endless.lua": "while true do end",
    "hungry.lua": 'local t = {} while true do t[#t + 1] = ("x"):rep(1000000) .. #t end',
    "recursive.lua": "local function f() return 1 + f() end return f()",
    "function.lua": "return function() end",
    "nothing.lua": "",
    "number.lua": "return 42",
    "cycle.lua": "local t = {} t.t = t return t",
    "nan.lua": HEAD + RETURN.format(value="0/0"),
    "bytes.lua": HEAD + RETURN.format(value='flow.lit "\\255"'),
    "require.lua": 'require "os"',
    "global.lua": "return io.open('/etc/passwd')",
    "raised.lua": "error({ code = 1 })",
    "binary.lua": "\x1bLua",
    "broken.json": '{"swarm": 1,',
    "array.json": "[]",
    "empty.json": "",
    "twice.json": '{"swarm": 1, "swarm": 1}',
    "nan.json": '{"swarm": NaN}',
    "deep.json": _deep(200),
    "deepest.json": "[" * 200_000,
    "kind.json": '{"swarm": 1, "id": "k", "agents": [], "flow": {"kind": "sequence"}}',
    "broken.yaml": "a: [",
    "alias.yaml": "a: &a [1]\nb: *a",
    "tag.yaml": "a: !!python/object:os.system {}",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_blueprint_is_problems_with_its_name_and_exit_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_text(INVALID[name], encoding="utf-8")
    assert invoke(["check", name]) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    for line in shown.out.splitlines():
        assert line.startswith(f"{name}:")
        assert len(line) < 500
    assert invoke(["run", name]) == 2
    assert capsys.readouterr().err == shown.out


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["no-such-interpreter"], "process.spawn"),
        (["sh", "-c", "echo broken >&2; exit 3"], "process.exit"),
        (["sh", "-c", "kill -9 $$"], "process.signal"),
    ],
)
def test_a_program_that_cannot_do_it_is_a_failed_run(
    argv: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "swarm": 1,
        "id": "p",
        "agents": [{"name": "p", "kind": "process", "argv": argv}],
        "flow": {"kind": "step", "ref": "p", "in": "nil"},
    }
    Path("p.json").write_text(json.dumps(document))
    assert invoke(["run", "p.json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"step.failed ({code}): " in shown.err.splitlines()[-1]


def test_a_worker_script_that_never_ends_is_a_failed_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = HEAD + 'local w = flow.lua "w" [[ while true do end ]]\n'
    script += 'return flow.blueprint { id = "w", agents = { w }, flow = flow.step { agent = w } }'
    Path("w.lua").write_text(script)
    assert invoke(["run", "w.lua"]) == 1
    assert "step.failed (script.budget): " in capsys.readouterr().err


def test_a_context_that_does_not_fit_is_a_failed_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.lua").write_text(HEAD + RETURN.format(value=1))
    assert invoke(["run", "a.lua", "--input", "[1]"]) == 1
    assert "a.lua:2: path.not_writable: " in capsys.readouterr().err
