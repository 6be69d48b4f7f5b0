from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import Source, load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Place
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.lua import LuaFactory
from swarm.workers.process.factory import ProcessFactory

LUA = """local flow = require "flow"
local writer = flow.lua "writer" [[ return "a draft" ]]
local check = flow.process "check" { argv = { "cat" }, input = "json", timeout_s = 2.5 }
return flow.blueprint {
  id = "review",
  agents = { writer, check },
  inputs = { type = "object", properties = { topic = {} } },
  flow = flow.seq {
    flow.step { agent = writer, input = { topic = "ctx.topic", n = 1 }, out = "ctx.draft" },
    flow.loop { counter = "ctx.n", max = 3, run = flow.step {
      agent = check, input = "ctx.draft" } },
    flow.assign { at = "ctx.done", value = true },
  },
}
"""

YAML = """
swarm: 1
id: review
agents:
  - {name: writer, kind: lua, source: ' return "a draft" '}
  - {name: check, kind: process, argv: [cat], input: json, timeout_s: 2.5}
inputs: {type: object, properties: {topic: {}}}
flow:
  kind: seq
  children:
    - kind: step
      ref: writer
      in: "{ topic = ctx.topic, n = 1 }"
      out: ctx.draft
    - kind: loop
      counter: $.n
      cond: "true"
      max: 3
      body: {kind: step, ref: check, in: ctx.draft}
    - {kind: let, at: $.done, value: "true"}
"""

JSON = """
{"id": "review", "swarm": 1, "flow": {"kind": "seq", "children": [
  {"kind": "step", "ref": "writer", "out": "$.draft", "in": {"op": "object", "fields": {
    "n": {"op": "lit", "value": 1}, "topic": "$['topic']"}}},
  {"kind": "loop", "max": 3, "counter": {"op": "path", "at": "$.n"},
   "cond": {"op": "lit", "value": true}, "body": {"kind": "step", "ref": "check", "in": "$.draft"}},
  {"kind": "assign", "at": "$.done", "value": "true"}]},
 "agents": [
  {"name": "writer", "kind": "lua", "source": " return \\"a draft\\" "},
  {"name": "check", "kind": "process", "argv": ["cat"], "input": "json", "timeout_s": 2.5}],
 "inputs": {"type": "object", "properties": {"topic": {}}}}
"""

FIVE = """local flow = require "flow"

local writer = flow.lua "writer" [[
  return input.topic
]]
local idle = flow.lua "idle" [[
  return nil
]]
local check = flow.process "check" {
  argv = { "cat" },
  imput = "json",
}

return flow.blueprint {
  id = "five",
  agents = { writer, idle, check },
  flow = flow.seq {
    flow.step { agent = writer, input = "ctx.topic", out = "ctx.draft", id = "draft" },
    flow.step {
      agent = "wrtier",
      input = "ctx.draft",
    },
    flow.step { agent = check, id = "draft", input = "ctx.draft" },
    flow.assign {
      at = "ctx.size",
      value = "string.lenght(ctx.draft)",
    },
  },
}
"""


def load(source: Source) -> CompiledBlueprint:
    registry = Registry([LuaFactory(), ProcessFactory()], plugins=False)
    tools = Toolbox(InlineScripts(), {})
    return anyio.run(partial(load_blueprint, source, registry=registry, tools=tools))


def problems(source: Source) -> list[str]:
    with pytest.raises(BlueprintInvalid) as caught:
        load(source)
    assert caught.value.code == "blueprint.invalid"
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        Path(name).write_bytes(data)


def test_one_blueprint_in_three_forms_has_one_digest(folder: Path) -> None:
    write({"a.lua": LUA, "a.json": JSON, "a.yaml": YAML, "b.yml": YAML})
    found = [load(name) for name in ("a.lua", "a.json", "a.yaml", "b.yml", folder / "a.lua")]
    assert len({blueprint.digest for blueprint in found}) == 1
    again: Any = found[0].document
    assert load(again).digest == found[0].digest


def test_five_mistakes_are_five_problems_on_their_lines() -> None:
    write({"five.lua": FIVE})
    assert [problem.split(": ")[:2] for problem in problems("five.lua")] == [
        ["five.lua:6", "agent.unused"],
        ["five.lua:11", "agent.field_unknown"],
        ["five.lua:20", "agent.unknown"],
        ["five.lua:23", "malformed"],
        ["five.lua:26", "extern.unknown"],
    ]


def test_the_lines_of_nodes_are_known_after_compiling() -> None:
    write({"flows/a.lua": LUA, "a.yaml": YAML})
    assert load("flows/a.lua").place_of("$.children[1].body") == Place("flows/a.lua", 10)
    assert load("a.yaml").place_of("$.children[1].body") == Place("a.yaml", 19)


def test_the_sources_travel_with_the_blueprint() -> None:
    write({"a.lua": LUA})
    assert load("a.lua").sources == {"a.lua": LUA}


MODULE = """local flow = require "flow"
local parts = {}
function parts.checked(agent)
  return flow.step {
    agent = agent,
    input = "ctx.a +",
  }
end
return parts
"""
USER = """local flow = require "flow"
local parts = require "parts"
local w = flow.lua "w" "return 1"
return flow.blueprint { id = "a", agents = { w }, flow = parts.checked(w) }
"""


def test_a_mistake_in_a_module_is_on_the_module_s_line() -> None:
    write({"flows/a.lua": USER, "flows/parts.lua": MODULE})
    (problem,) = problems("./flows/a.lua")
    assert problem.startswith("flows/parts.lua:6: malformed: flow.step: input: ")


def test_an_agent_s_script_is_found_among_others_like_it() -> None:
    source = """local flow = require "flow"
local a = flow.lua "a" [[
  return 1
]]
local b = flow.lua "b" {
  source = [[
  local x =
]],
}
local c = flow.lua "c" [[
  local x =
]]
return flow.blueprint { id = "a", agents = { a, b, c }, flow = flow.seq {
  flow.step { agent = a }, flow.step { agent = b }, flow.step { agent = c },
} }
"""
    for end in ("\n", "\r\n"):
        write({"a.lua": source.replace("\n", end)})
        found = problems("a.lua")
        assert [problem.split(": ")[:3] for problem in found] == [
            ["a.lua:8", "script.syntax", "agent 'b'"],
            ["a.lua:12", "script.syntax", "agent 'c'"],
        ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\r"])
def test_lines_count_alike_whatever_ends_them(end: str) -> None:
    plain = """local flow = require "flow"
-- allow: agent.unused
local spare = flow.lua "spare" [[ return 1 ]]
local a = flow.lua "a" [[ return 1 ]]
return flow.blueprint {
  id = "p",
  agents = { a, spare },
  flow = function(ctx)
    ctx.x = a(1)
    ctx.y = b(1)
  end,
}
"""
    wire = '{"swarm": 1,\n"id": "w",\n"agents": [],\n"flow":\n{"kind": "sequence"}}'
    write({"p.lua": plain.replace("\n", end), "w.json": wire.replace("\n", end)})
    hint = "declare it outside the function"
    said = f"'b' is no agent and no function of this script — {hint}"
    assert problems("p.lua") == [f"p.lua:10: plain.refused: {said}"]
    (problem,) = problems("w.json")
    assert problem.startswith("w.json:5: malformed: $.flow.kind: ")


def test_a_script_that_is_not_in_the_file_is_told_by_its_own_lines() -> None:
    write(
        {
            "a.lua": """local flow = require "flow"
local w = flow.lua "w" (table.concat({ "local x = 1", "retrun x" }, "\\n"))
return flow.blueprint { id = "a", agents = { w }, flow = flow.step { agent = w } }
"""
        }
    )
    assert problems("a.lua") == ["a.lua:2: script.syntax: agent 'w' line 2: syntax error near 'x'"]


def test_paths_are_shown_as_they_were_given(folder: Path) -> None:
    write({"a.yaml": "swarm: 1\nid: A\nflow: {kind: seq, children: []}\n"})
    assert problems("a.yaml")[0].startswith("a.yaml:2: ")
    assert problems("./a.yaml")[0].startswith("./a.yaml:2: ")
    assert problems(folder / "a.yaml")[0].startswith(f"{folder}/a.yaml:2: ")


def test_a_byte_order_mark_is_not_part_of_the_text() -> None:
    write({"a.lua": b"\xef\xbb\xbf" + LUA.encode(), "a.json": b"\xef\xbb\xbf" + JSON.encode()})
    assert load("a.lua").digest == load("a.json").digest


MISSING = "file.missing: expected a file, got nothing of that name"
ENDINGS = "expected a file ending in '.json', '.lua', '.yaml', '.yml'"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("nope.lua", f"nope.lua: {MISSING}"),
        ("a.json/b.lua", f"a.json/b.lua: {MISSING}"),
        (
            "reveiw.lua",
            f"reveiw.lua: {MISSING} — did you mean 'review.lua'?",
        ),
        ("folder.lua", "folder.lua: file.special: expected a file, got a folder"),
        ("pipe.json", "pipe.json: file.special: expected a file, got something else"),
        ("binary.lua", "binary.lua: file.binary: expected text, got a binary file"),
        ("latin.lua", "latin.lua:2: file.encoding: expected UTF-8 text, got the byte 0xe9"),
        ("large.json", "large.json: file.too_large: expected at most 4194304 bytes, got more"),
        (
            "a.txt",
            f"a.txt: file.suffix: {ENDINGS}, got 'a.txt'",
        ),
        ("", f": file.suffix: {ENDINGS}, got ''"),
        ("zz\0.lua", f"zz\0.lua: {MISSING}"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(file: str, sentence: str) -> None:
    write(
        {
            "a.json": JSON,
            "review.lua": LUA,
            "binary.lua": b"\x7fELF\0\0",
            "latin.lua": b"-- a\n-- caf\xe9\n",
            "large.json": b" " * (4 * 1024 * 1024 + 1),
        }
    )
    Path("folder.lua").mkdir()
    os.mkfifo("pipe.json")
    assert problems(file) == [sentence]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("while true do end", "script.budget"),
        ("local t = {} t.t = t return t", "script.result"),
        ("return function() end", "script.result"),
        ("return { n = 0/0 }", "script.result"),
        ("return", "script.result"),
        ("error({})", "script.error"),
        ("require 'nothing'", "script.error"),
        ("retrun 1", "script.syntax"),
        ("local s = 'x' while true do s = s .. s end", "script.memory"),
    ],
)
def test_a_script_that_fails_is_one_sentence(script: str, code: str) -> None:
    write({"a.lua": script})
    (problem,) = problems("a.lua")
    assert problem.split(": ")[1] == code
    assert "\n" not in problem


@pytest.mark.parametrize("levels", [100, 200, 5_000])
def test_a_deep_document_is_loaded_or_refused(levels: int) -> None:
    node = '{"kind": "seq", "children": ['
    text = '{"swarm": 1, "id": "a", "flow": ' + node * levels + "]}" * levels + "}"
    write({"a.json": text})
    if levels == 100:
        assert load("a.json").id == "a"
    else:
        assert len(problems("a.json")) == 1


def test_a_document_that_is_no_json_value_is_refused() -> None:
    document: Any = {"swarm": 1, "id": "a", "flow": {"kind": "seq", "children": ()}}
    assert problems(document)[0].startswith("<document>: document.value: $.flow.children: ")


def test_an_agent_that_is_only_named_wrongly_is_suggested() -> None:
    """A Lua function holds what it names, so the right name is not among what it holds."""
    flow = "  flow = function(ctx) ctx.said = revewer(ctx.draft) end,"
    script = (
        'local flow = require "flow"\n'
        'local reviewer = flow.lua "reviewer" [[ return input ]]\n'
        f'return flow.blueprint {{ id = "review", agents = {{ reviewer }},\n{flow} }}\n'
    )
    write({"review.lua": script})
    (line,) = [one for one in problems("review.lua") if "plain.refused" in one]
    assert line.endswith("— did you mean 'reviewer'?")
