from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from swarm.cli.main import invoke

MISTAKES = """local flow = require "flow"

local writer = flow.lua "writer" [[ return input ]]
local idle = flow.lua "idle" [[ return 1 ]]
local broken = flow.lua "broken" [[ return return ]]

return flow.blueprint {
  id = "mistakes",
  agents = { writer, idle, broken },
  flow = flow.seq {
    flow.step { agent = writer, input = "ctx.topic", out = "ctx.draft" },
    flow.step { agent = "wrtier", input = "ctx.draft" },
    flow.step { agent = broken, input = "ctx.draft +", out = "ctx.x" },
    flow.assign {
      at = "ctx.loud",
      value = "string.uper(ctx.draft)",
    },
  },
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mistakes.lua").write_text(MISTAKES)
    (tmp_path / "good.json").write_text(
        '{"swarm": 1, "id": "good", "agents": [], "flow": {"kind": "seq", "children": []}}'
    )
    return tmp_path


def test_five_mistakes_are_five_lines_on_the_lines_they_are_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["check", "mistakes.lua"]) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    found = [line.split(": ")[:2] for line in shown.out.splitlines()]
    assert found == [
        ["mistakes.lua:4", "agent.unused"],
        ["mistakes.lua:5", "script.syntax"],
        ["mistakes.lua:12", "agent.unknown"],
        ["mistakes.lua:13", "malformed"],
        ["mistakes.lua:16", "extern.unknown"],
    ]


def test_near_misses_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["check", "mistakes.lua"])
    shown = capsys.readouterr().out
    assert "'writer'" in shown
    assert "string.upper" in shown


def test_a_blueprint_without_problems_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "good.json"]) == 0
    assert capsys.readouterr() == ("", "")


def test_every_blueprint_named_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "good.json", "mistakes.lua", "nowhere.lua"]) == 2
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 6
    assert shown[-1].startswith("nowhere.lua:1: ")


def test_json_gives_one_object_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", "mistakes.lua", "--json"]) == 2
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["path"], first["line"], first["code"]) == ("mistakes.lua", 4, "agent.unused")
    assert set(first) == {"path", "line", "code", "message", "hint", "silence", "at"}
    assert first["silence"] == "allow: agent.unused"


def test_every_line_has_a_line_number_also_where_the_whole_file_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty.lua").write_text("")
    assert invoke(["check", "empty.lua", "nowhere.lua"]) == 2
    assert [line.split(": ")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["empty.lua:1", "script.result"],
        ["nowhere.lua:1", "file.missing"],
    ]


def test_a_problem_is_one_line_whatever_a_script_or_a_name_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "new\nline.lua"
    (folder / name).write_text('error("first\\nsecond \\27[2Jthird")')
    assert invoke(["check", name]) == 2
    assert capsys.readouterr().out == (
        "new\\nline.lua:1: script.error: first\\nsecond \\x1b[2Jthird\n"
    )


def test_a_name_that_is_no_utf8_is_a_problem(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"a\xff.lua")
    (folder / name).write_text(MISTAKES)
    assert invoke(["check", name]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("a\\udcff.lua:1: file.encoding: expected a path in UTF-8, got '")
    assert invoke(["check", name, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["path"] == name


def test_a_name_that_is_refused_hides_nothing_of_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "notes.txt").write_text("")
    (folder / "good.YAML").write_text("")
    assert invoke(["check", "notes.txt", "good.YAML", "nosuch", "mistakes.lua", "good.json"]) == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 5
    hint = " — for the file, give it a name that ends in '.json', '.lua', '.yaml', '.yml'"
    refused = shown.err.splitlines()
    assert [line.partition(":")[0] for line in refused] == [
        "version.unknown",
        "version.id",
        "version.unknown",
    ]
    assert [line.endswith(hint) for line in refused] == [True, True, False]
    assert invoke(["check", "nosuch"]) == 2


def test_a_folder_is_told_to_be_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "some").mkdir()
    for command in ("check", "run"):
        assert invoke([command, "some"]) == 2
        assert capsys.readouterr().err.endswith(" — for a file of the folder, name the file\n")
