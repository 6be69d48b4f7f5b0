"""The schema of a first context: judged when compiled, and held against what comes."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.inputs import first_context, inputs_problems, with_defaults
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Refused
from swarm.host.host import Host
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox

SCHEMA: Any = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "minLength": 1},
        "rounds": {"type": "integer", "default": 3, "minimum": 0},
        "tone": {"enum": ["dry", "warm"]},
        "page": {"$ref": "#/$defs/page"},
        "pages": {"type": "array", "items": {"$ref": "#/$defs/page"}},
    },
    "required": ["topic"],
    "additionalProperties": False,
    "$defs": {"page": {"properties": {"size": {"default": "A4"}, "on": {"$ref": "#/$defs/page"}}}},
}


def problems(schema: Any) -> list[str]:
    return [f"{problem.code} {problem}" for problem in inputs_problems(schema)]


def test_a_schema_with_everything_in_it_has_no_problem() -> None:
    assert problems(SCHEMA) == []


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (5, "$.inputs: expected a JSON Schema, an object, got 5"),
        ({"type": "strin"}, "$.inputs.type: expected one of 'array', "),
        ({"type": "strin"}, "got 'strin' — did you mean 'string'?"),
        ({"minimum": "3"}, "$.inputs.minimum: expected a number, got '3'"),
        ({"required": "topic"}, "$.inputs.required: expected an array, got 'topic'"),
        ({"propertes": {}}, "got 'propertes' — did you mean 'properties'?"),
        (
            {"properties": {"a": {"pattern": "(a+)+$"}}},
            "$.inputs.properties.a.pattern: expected no 'pattern', got one — ",
        ),
        ({"patternProperties": {"a": {}}}, "expected no 'patternProperties', got one"),
        ({"allOf": [{"$dynamicRef": "#x"}]}, "expected no '$dynamicRef', got one — use $ref"),
        ({"$ref": "https://example.org/x.json"}, "expected a place of this schema (#/…), got"),
        ({"not": {"$ref": "other.json#/a"}}, "expected a place of this schema (#/…), got"),
        ({"$ref": "#/$defs/none"}, "expected a place of this schema (#/…), got"),
        ({"items": {"$id": "x"}}, "expected no '$id' further in, got one"),
        ({"$ref": "#"}, '$.inputs["$ref"]: expected a reference that leads on, got one that'),
        ({"unevaluatedProperties": False}, "expected no 'unevaluatedProperties', got one"),
        # What is no schema where it stands is not judged, so nothing may lead there.
        ({"$ref": "#/default", "default": {"pattern": "(a+)+$"}}, "expected a place of this"),
        ({"$ref": "#/x-own", "x-own": {"pattern": "(a+)+$"}}, "expected a place of this schema"),
        (
            {"$ref": "#/$defs/a%2Fb", "$defs": {"a%2Fb": True, "a": {"b": {"pattern": "x"}}}},
            "expected a place of this schema",
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "expected 'https://json-schema"),
        ({"enum": ["x" * 70_000]}, "expected a schema of at most 32 levels and 65536 bytes"),
        (
            {"properties": {"n": {"type": "integer", "default": "x"}}},
            "inputs.default $.inputs.properties.n.default: expected an integer, got 'x'",
        ),
        (
            {"properties": {"o": {"properties": {"n": {"type": "null", "default": 1}}}}},
            "inputs.default $.inputs.properties.o.properties.n.default: expected null, got 1",
        ),
        (
            {"properties": {"o": {"default": {}, "required": ["n"]}}},
            "$.inputs.properties.o.default: expected a field 'n', got none",
        ),
    ],
)
def test_a_wrong_schema_is_one_sentence(schema: Any, sentence: str) -> None:
    (problem,) = problems(schema)
    assert sentence in problem


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"pattern": {"type": "string"}, "$ref": {}, "propertes": {}}},
        {"enum": [{"pattern": "x"}], "default": {"$ref": "y"}},
        {"$id": "https://example.org/x", "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"x-own": 1, "example": 2},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": True}},
        {
            "properties": {
                "o": {"default": {}, "properties": {"n": {"default": 1}}, "required": ["n"]}
            }
        },
    ],
)
def test_what_only_looks_wrong_is_right(schema: Any) -> None:
    assert problems(schema) == []


def test_several_mistakes_of_a_schema_are_told_at_once() -> None:
    assert len(problems({"type": "x", "minimum": "1", "items": {"pattern": "y"}})) == 3


def given(input: Any, schema: Any = SCHEMA) -> Any:
    return first_context(schema, input, DEFAULT_LIMITS).value


@pytest.mark.parametrize(
    ("input", "context"),
    [
        ({"topic": "x"}, {"topic": "x", "rounds": 3}),
        ({"topic": "x", "rounds": 0}, {"topic": "x", "rounds": 0}),
        (
            {"topic": "x", "page": {"on": {}}},
            {"topic": "x", "rounds": 3, "page": {"on": {"size": "A4"}, "size": "A4"}},
        ),
        (
            {"topic": "x", "pages": [{}, {"size": "A5"}]},
            {"topic": "x", "rounds": 3, "pages": [{"size": "A4"}, {"size": "A5"}]},
        ),
    ],
)
def test_what_is_absent_has_its_default(input: Any, context: Any) -> None:
    assert given(input) == context


def test_the_default_of_an_object_has_those_of_its_members() -> None:
    schema = {"properties": {"o": {"default": {}, "properties": {"n": {"default": 1}}}}}
    assert with_defaults(schema, {}) == {"o": {"n": 1}}
    assert with_defaults(schema, {"o": {"m": 2}}) == {"o": {"m": 2, "n": 1}}


def test_schemas_that_are_taken_together_all_have_defaults() -> None:
    part = {"properties": {"b": {"default": 2}}}
    schema = {"properties": {"a": {"default": 1}}, "allOf": [part, True]}
    assert with_defaults(schema, {}) == {"a": 1, "b": 2}


def test_defaults_change_neither_the_input_nor_the_schema() -> None:
    schema: Any = {"properties": {"l": {"default": [1]}}}
    empty: Any = {}
    given(empty, schema)["l"].append(2)
    assert (empty, schema) == ({}, {"properties": {"l": {"default": [1]}}})


def test_a_default_that_leads_to_itself_ends() -> None:
    again = {"default": {}, "$ref": "#/$defs/n"}
    schema = {"$defs": {"n": {"properties": {"a": again, "b": again}}}, "$ref": "#/$defs/n"}
    assert with_defaults(schema, {}) == {"a": {}, "b": {}}


@pytest.mark.parametrize(
    ("input", "at", "sentence"),
    [
        (None, "$", "input: $: expected a field 'topic', got none"),
        ({"topc": "x"}, "$", "expected a field 'topic', got none — was 'topc' meant for it?"),
        ({"topic": "x", "rouns": 1}, "$", "expected no field 'rouns', got one — did you mean"),
        ({"topic": 5}, "$.topic", "input: $.topic: expected a string, got 5"),
        ({"topic": ""}, "$.topic", "expected a string of at least 1 characters, got ''"),
        ({"topic": "x", "rounds": True}, "$.rounds", "expected an integer, got true"),
        ({"topic": "x", "rounds": -1}, "$.rounds", "expected a number of at least 0, got -1"),
        ({"topic": "x", "tone": "wet"}, "$.tone", "expected one of 'dry', 'warm', got 'wet'"),
        ([], "$", "input: $: expected an object, got []"),
        ({"topic": float("nan")}, "$.topic", "expected a finite number"),
    ],
)
def test_what_does_not_fit_is_refused_at_its_place(input: Any, at: str, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        given(input)
    assert (caught.value.code, caught.value.values["at"]) == ("run.input", at)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_schema_any_json_will_do() -> None:
    assert given([1], None) == [1]
    assert given(None, None) == {}


def test_a_schema_that_doubles_its_work_is_given_up() -> None:
    twice = {"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}
    deeper = {"properties": {"x": {"$ref": "#/$defs/a"}}}
    schema = {"$defs": {"a": twice, "b": deeper}, "$ref": "#/$defs/a"}
    deep: Any = {}
    for _ in range(50):
        deep = {"x": deep}
    assert problems(schema) == []
    with pytest.raises(Refused, match="takes too long"):
        given(deep, schema)


LUA = """local flow = require "flow"
return flow.blueprint {
  id = "greet",
  inputs = {
    type = "object",
    properties = {
      name = { type = "string" },
      greeting = { type = "string", default = "hello" },
    },
    required = { "name" },
  },
  flow = flow.assign { at = "ctx.said", value = "ctx.greeting .. ' ' .. ctx.name" },
}
"""


def load(folder: Path, text: str) -> CompiledBlueprint:
    file = folder / "greet.lua"
    file.write_text(text, "utf-8")
    tools = Toolbox(InlineScripts(), {})
    registry = Registry([], plugins=False)
    return anyio.run(partial(load_blueprint, str(file), registry=registry, tools=tools))


def test_a_wrong_schema_is_a_problem_of_the_blueprint(tmp_path: Path) -> None:
    text = LUA.replace('"string", default', '"text", default').replace("hello", "he")
    with pytest.raises(BlueprintInvalid) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where.line) == ("inputs.schema", 4)
    assert problem.message.startswith("flow.blueprint: inputs.properties.greeting.type: expected")


async def test_a_run_begins_with_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "greet.lua").write_text(LUA, "utf-8")
    async with Host.in_memory() as host:
        blueprint = await host.load(tmp_path / "greet.lua")
        run = await host.start(blueprint, {"name": "Ada"})
        assert (await run.result())["said"] == "hello Ada"
        with pytest.raises(Refused, match="expected a string, got 5") as caught:
            await host.start(blueprint, {"name": 5})
        assert caught.value.code == "run.input"


def test_the_command_line_ends_with_2_for_a_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "greet.lua").write_text(LUA, "utf-8")
    main = "from swarm.cli.main import main; main()"
    command = [sys.executable, "-c", main, "run", str(tmp_path / "greet.lua")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected a field 'name', got none" in done.stderr


def test_a_blueprint_without_inputs_loads_no_validator() -> None:
    look = (
        "import sys, swarm.blueprint.inputs as i;"
        "from flowir.limits import DEFAULT_LIMITS;"
        "i.first_context(None, {}, DEFAULT_LIMITS);"
        "print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "False\n"
