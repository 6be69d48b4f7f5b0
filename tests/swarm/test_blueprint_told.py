"""What builders find wrong: every mistake of a script in one run, each on its line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.blueprint.author import lower
from swarm.blueprint.told import faults_of
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.function import FunctionFactory
from swarm.workers.lua import LuaFactory
from swarm.workers.process.factory import ProcessFactory

# Cases: line and sentence after `--- `, then the script that earns it.
BLAMES = Path(__file__).parents[1] / "lua" / "blames.lua"
HEAD = 'local flow = require "flow"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(script: str) -> list[str]:
    """Return what is wrong with a script, as `line: code: sentence`."""
    Path("a.lua").write_text(script, "utf-8")
    registry = Registry([FunctionFactory(), LuaFactory(), ProcessFactory()], plugins=False)
    tools = Toolbox(InlineScripts(), {"shout": str.upper})
    with pytest.raises(BlueprintInvalid) as caught:
        anyio.run(partial(load_blueprint, "a.lua", registry=registry, tools=tools))
    return [str(problem).removeprefix("a.lua:") for problem in caught.value.problems]


@pytest.mark.parametrize("case", BLAMES.read_text("utf-8").split("--- ")[1:])
def test_a_wrong_argument_is_one_sentence_on_its_line(case: str) -> None:
    sentence, source = case.split("\n", 1)
    found = [p for p in problems(HEAD + source) if "script.result" not in p]
    line, code, said = found[0].split(": ", 2)
    assert [f"{line}: {said}"] == [sentence]
    assert found[1:] == []
    assert code in ("malformed", "script.error") or code.startswith(("agent.", "blueprint."))


MANY = """local flow = require "flow"

local writer = flow.lua "writer" [[
  return input
]]
local shout = flow.fn "shout" {
  timeout_s = 5,
  vredict = { "PASS" },
}
local unused = flow.lua "unused" [[ return 1 ]]

return flow.blueprint {
  id = "many",
  agents = { writer, shout, unused },
  inputs = {
    type = "object",
    properties = { n = { type = "integer" }, list = { type = "array" } },
  },
  flow = flow.seq {
    flow.step {
      agent = writer,
      output = "ctx.draft",
      input = "ctx.n",
    },
    flow.branch {
      when = "ctx.n >",
      run = flow.assign { at = "ctx.one", id = "one" },
    },
    flow.loop {
      max = 3,
      run = flow.step { agent = "revewer", out = "ctx.verdict" },
      counter = "n",
    },
    flow.fanout {
      over = "ctx.list",
      as = "ctx.item",
      run = flow.step { agent = shout, input = "ctx.item" },
      join = "first",
      out = "ctx.all",
    },
    flow.stpe { agent = writer,
      input = "ctx.missing.it" },
    flow.assign { at = "ctx.x", value = 1, id = "one" },
    flow.step {
      agent = writer,
      retry = { max_attempts = 0 },
    },
    flow.try { run = flow.seq {}, on = "a.b", finally = writer },
    flow.fail("a.b", "concat('a', ctx.n)", pcall),
    flow.assign { at = "ctx.never", value = 1 },
  },
}
"""


def test_every_mistake_of_a_script_is_told_at_once() -> None:
    found = problems(MANY)
    assert [(p.split(": ")[0], p.split(": ")[1]) for p in found] == [
        ("8", "agent.field_unknown"),
        ("10", "agent.unused"),
        ("22", "malformed"),
        ("26", "malformed"),
        ("27", "malformed"),
        ("31", "agent.unknown"),
        ("32", "malformed"),
        ("38", "malformed"),
        ("41", "malformed"),
        ("42", "path.unwritten"),
        ("43", "malformed"),
        ("46", "malformed"),
        ("48", "malformed"),
        ("48", "malformed"),
        ("49", "malformed"),
        ("50", "node.unreachable"),
    ], "\n".join(found)


def test_one_mistake_more_is_one_line_more() -> None:
    found = problems(MANY.replace('"many"', '"Many"'))
    assert [p.split(": ")[1] for p in found].count("blueprint.id") == 1
    assert len(found) == 17


def test_what_was_made_and_not_used_counts_too() -> None:
    script = (
        HEAD
        + """
local lost = flow.assign { at = "x", value = 1 }
return flow.blueprint { id = "a", flow = flow.seq {} }
"""
    )
    (found,) = problems(script)
    assert found == (
        "3: malformed: flow.assign: expected 'at' to be a path such as 'ctx.name', got 'x'"
        " — did you mean 'ctx.x'?"
    )


@pytest.mark.parametrize("ending", ["", "return 5", "return print", "return { node }"])
def test_a_script_without_a_blueprint_tells_its_mistakes(ending: str) -> None:
    first, second = problems(f'{HEAD}local node = flow.seq {{ "x" }}\n{ending}')
    assert "script.result" in first
    assert second.startswith("2: malformed: flow.seq: expected 'item 1' to be a node")


def test_a_node_used_twice_tells_its_mistake_once() -> None:
    script = (
        'local n = flow.assign { at = "x", value = 1 }\n'
        'return flow.blueprint { id = "a", flow = flow.seq { n, n } }'
    )
    assert len(problems(HEAD + script)) == 1


def test_a_mistake_in_a_module_is_told_in_its_file(folder: Path) -> None:
    (folder / "parts.lua").write_text(HEAD + "return flow.assign {\n  at = 'x',\n  value = 1,\n}\n")
    script = 'return flow.blueprint { id = "a", flow = require "parts" }'
    (found,) = problems(HEAD + script)
    assert found.startswith("parts.lua:3: malformed: flow.assign: expected 'at'")


def blueprint(flow: str, agents: str = "w") -> str:
    head = HEAD + 'local w = flow.lua "w" "return 1"\nlocal v = flow.lua "v" "return 1"\n'
    return f'{head}return flow.blueprint {{ id = "a", agents = {{ {agents} }}, flow = {flow} }}'


STEP = "flow.step { agent = w }"
READS = "flow.step { agent = w, input = 'ctx.x' }"
FANOUT = "flow.fanout { over = '{}', as = 'ctx.a', out = 'ctx.b', run = " + STEP


@pytest.mark.parametrize(
    ("flow", "count"),
    [
        # Whom the lost nodes ask is asked, and what is wrong inside them is told.
        ("flow.seq { w }", 1),
        (f"{{ {STEP} }}", 1),
        ("flow.branch { when = true, run = { flow.step { agent = w, otu = 'ctx.a' } } }", 2),
        (f"flow.branch {{ run = flow.seq {{}}, when = true, els = {STEP} }}", 1),
        ("flow.seq { flow.step { agent = w, input = flow.seq { flow.step {} } } }", 2),
        # What they would have written may be read.
        (f"flow.seq {{ flow.step {{ agent = w, out = 5 }}, {READS} }}", 1),
        (f"flow.loop {{ counter = 5, max = 1, run = {READS} }}", 1),
        (f"flow.seq {{ 5, {READS} }}", 1),
        (f"flow.seq {{ flow.assign {{ value = 1 }}, {READS} }}", 1),
        (f"flow.loop {{ counter = 'x', max = 1, run = {READS} }}", 1),
        # A path without its context is known all the same, and others are not written.
        (f"flow.seq {{ flow.loop {{ counter = 'n', max = 1, run = {STEP} }}, {READS} }}", 2),
        # One wrong field does not make its neighbours wrong.
        ("flow.step { agent = w, input = 'ctx.a +', timeout_s = 0 }", 2),
        ("flow.step { agnet = w }", 1),
        ("flow.step { agnet = 5, agent = w }", 1),
        ("flow.step { agent = wirter }", 1),
        (FANOUT + ", quorum = 2, join = 'quorm' }", 1),
        (FANOUT + ", quorum = 0, join = 'quorum' }", 1),
        (FANOUT + ", quorum = 0 }", 1),
        (f"flow.try {{ run = {STEP}, catch = 5 }}", 1),
        (f"flow.try {{ run = {STEP}, on = {{ 5, 6 }} }}", 2),
        (f"flow.seq {{ {STEP}, flow.sleep(-1), flow.fail(5, 5, pcall) }}", 3),
    ],
)
def test_no_mistake_brings_another(flow: str, count: int) -> None:
    script = blueprint(flow).replace('"a"', '"a", inputs = {}')
    assert len(problems(script)) == count, problems(script)


@pytest.mark.parametrize(
    ("agents", "step", "count"),
    [
        ("w, 5", "w", 1),
        ("'w'", "'w'", 1),
        ("w, nil, v", "'x'", 3),
        ("flow.lua 'w' { source = pcall }", "w", 1),
        ("flow.lua 'w' { source = pcall, timeout = 5, 5 }", "w", 3),
        ("flow.process 'p' { argv = pcall }", "'p'", 1),
        ("flow.lau 'w' 'return 1'", "'w'", 1),
    ],
)
def test_a_mistake_of_an_agent_brings_no_other(agents: str, step: str, count: int) -> None:
    script = blueprint(f"flow.step {{ agent = {step} }}", agents)
    assert len(problems(script)) == count, problems(script)


def test_fields_of_the_blueprint_are_told_with_the_rest() -> None:
    script = f"""{HEAD}return flow.blueprint {{
  id = 5,
  inputs = "n",
  descripton = "no",
  flow = flow.assign {{ at = "x", value = 1 }},
}}"""
    found = problems(script)
    assert [p.split(": ")[:2] for p in found] == [
        ["3", "blueprint.field_wrong"],
        ["4", "blueprint.field_wrong"],
        ["5", "blueprint.field_unknown"],
        ["6", "malformed"],
    ]


@pytest.mark.parametrize(
    "marks", [5, "x", {}, [5], [{}], [{"by": 1, "kind": "x", "message": "y"}], [{"by": "x"}]]
)
def test_marks_that_no_builder_made_are_not_there(marks: Any) -> None:
    made = {"__swarm": "assign", "at": "ctx.a", "value": 1, "__problems": marks, "__lost": marks}
    assert list(faults_of(made)) == []
    lowered = lower({"__swarm": "blueprint", "id": "a", "flow": made, "__strays": marks}, file="f")
    assert lowered.document is not None


def test_an_author_cannot_write_marks_into_settings() -> None:
    script = blueprint(
        "flow.step { agent = 'x' }", "flow.fn 'x' { __problems = 5, ['function'] = 'shout' }"
    )
    assert [p for p in problems(script) if "__problems" in p] == [
        "4: agent.field_unknown: flow.fn: unknown field '__problems'"
    ]
