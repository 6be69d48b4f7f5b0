from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from swarm.errors import Place, ScriptFailed
from swarm.lua.modules import MAX_SOURCE, ModuleMissing, find_module
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script, ScriptLimits

HEAD = 'local flow = require "flow"\n'


async def author(source: str, folder: Path | None = None, **options: Any) -> Any:
    script = Script("blueprints/review.lua", source)
    return await InlineScripts().author(script, folder=folder, **options)


async def failure(source: str, folder: Path | None = None, **options: Any) -> ScriptFailed:
    with pytest.raises(ScriptFailed) as e:
        await author(source, folder, **options)
    return e.value


def bare(authored: Any) -> Any:
    """Drop where things were written."""
    if isinstance(authored, list):
        return [bare(item) for item in cast("list[Any]", authored)]
    if isinstance(authored, dict):
        members = cast("dict[str, Any]", authored).items()
        return {k: bare(v) for k, v in members if k not in ("__file", "__line")}
    return authored


async def test_a_blueprint_arrives_in_the_authors_form() -> None:
    authored = await author(
        """local flow = require "flow"
local writer = flow.lua "writer" [[ return input ]]
return flow.blueprint {
  id = "review",
  agents = { writer, flow.fn "lookup" },
  flow = flow.seq {
    flow.step { agent = writer, input = { topic = "ctx.topic" }, out = "ctx.draft" },
    flow.sleep(5),
  },
}"""
    )
    here = {"__file": "blueprints/review.lua"}
    assert authored == {
        "__swarm": "blueprint",
        **here,
        "__line": 3,
        "id": "review",
        "agents": [
            {
                "__swarm": "agent",
                **here,
                "__line": 2,
                "name": "writer",
                "kind": "lua",
                "source": " return input ",
            },
            {
                "__swarm": "agent",
                **here,
                "__line": 5,
                "name": "lookup",
                "kind": "function",
                "function": "lookup",
            },
        ],
        "flow": {
            "__swarm": "seq",
            **here,
            "__line": 6,
            "__list": [
                {
                    "__swarm": "step",
                    **here,
                    "__line": 7,
                    "agent": "writer",
                    "input": {"topic": "ctx.topic"},
                    "out": "ctx.draft",
                },
                {"__swarm": "sleep", **here, "__line": 8, "seconds": 5},
            ],
        },
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("flow.lua 'a' { source = 's', timeout_s = 2 }", {"kind": "lua", "source": "s"}),
        ("flow.process 'a' { argv = { 'x' } }", {"kind": "process", "argv": ["x"]}),
        ("flow.fn 'a'", {"kind": "function", "function": "a"}),
        ("flow.fn 'a' { timeout_s = 2 }", {"kind": "function", "function": "a", "timeout_s": 2}),
        ("flow.operator 'a'", {"kind": "operator"}),
        ("flow.ask 'a' { to = 'senior' }", {"kind": "human", "to": "senior"}),
        ("flow.sub 'a' { blueprint = 'x@1' }", {"kind": "flow", "blueprint": "x@1"}),
        ("flow.sub 'a' 'x@1'", {"kind": "flow", "blueprint": "x@1"}),
        ("flow.agent 'a' { kind = 'images', size = 5 }", {"kind": "images", "size": 5}),
    ],
)
async def test_agents_of_every_kind(source: str, expected: dict[str, Any]) -> None:
    agent = bare(await author(f"{HEAD}return {source}"))
    assert agent.pop("__swarm") == "agent"
    assert agent.pop("name") == "a"
    assert expected.items() <= agent.items()


async def test_an_agent_from_markdown_is_named_by_the_path_of_its_file() -> None:
    source = "local a = flow.agent_md 'agents/reviewer.md' return { a, flow.step { agent = a } }"
    assert bare(await author(HEAD + source)) == [
        {"__swarm": "agent", "agent_md": "agents/reviewer.md"},
        {"__swarm": "step", "agent": "agents/reviewer.md"},
    ]


async def test_a_file_stands_where_a_text_may() -> None:
    source = """return {
      flow.lua 'a' (flow.file 'a.lua'),
      flow.lua 'b' { source = 'x', extra = { flow.file 'b.txt' } },
      flow.assign { at = 'ctx.a', value = { flow.file 'c.txt' } },
    }"""
    first, second, third = bare(await author(HEAD + source))
    assert first["source"] == {"__swarm": "file", "path": "a.lua"}
    assert second["extra"] == [{"__swarm": "file", "path": "b.txt"}]
    assert third["value"] == [{"__swarm": "file", "path": "c.txt"}]


async def test_an_agent_with_a_long_source_stands_on_the_line_of_its_name() -> None:
    agent = await author(f'{HEAD}\nreturn flow.lua "a" [[\n  local x = 1\n  return x\n]]')
    assert agent["__line"] == 3


async def test_fail_and_lit() -> None:
    source = "return { flow.fail('a.b', 'm', { 1 }), flow.lit 'ctx.x', flow.lit() }"
    assert bare(await author(HEAD + source)) == [
        {"__swarm": "fail", "code": "a.b", "message": "m", "data": [1]},
        {"__swarm": "lit", "value": "ctx.x"},
        {"__swarm": "lit"},
    ]


async def test_a_flow_may_be_a_function() -> None:
    source = """return flow.blueprint { id = "x", flow = function(ctx)
  ctx.a = 1
end }"""
    here = {"file": "blueprints/review.lua", "line": 2, "last": 4}
    assert (await author(HEAD + source))["flow"] == {
        "__swarm": "function",
        "__file": "blueprints/review.lua",
        "__line": 2,
        "__last": 4,
        "root": 1,
        "functions": [{**here, "parameters": 1, "varargs": False, "names": []}],
        "tables": [],
        "globals": [],
    }


async def test_a_flow_function_is_told_with_what_it_sees() -> None:
    source = """local writer, MAX, odd = flow.fn "writer", 3, 0 / 0
local parts = { writer = writer, names = { "a" } }
parts.itself = parts
local function twice(x) return x * 2 end
GLOBAL = "g"
local upper = string.upper
return flow.blueprint { id = "x", agents = { writer }, flow = function(ctx)
  return { writer, MAX, parts, twice, GLOBAL, upper, odd, flow }
end }"""
    told = (await author(HEAD + source))["flow"]
    names = {one["name"]: one["value"] for one in told["functions"][told["root"] - 1]["names"]}
    assert names["writer"] == {"is": "agent", "name": "writer"}
    assert names["MAX"] == {"is": "constant", "value": 3}
    assert names["odd"] == {"is": "other", "what": "a number that is not finite"}
    assert names["upper"] == {"is": "library", "name": "string.upper"}
    assert (names["twice"]["is"], names["twice"]["file"]) == ("function", "blueprints/review.lua")
    members = {one["key"]: one["value"] for one in told["tables"][names["parts"]["number"] - 1]}
    assert members["itself"] == names["parts"]
    assert told["globals"] == [{"name": "GLOBAL", "value": {"is": "constant", "value": "g"}}]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("return flow.seq {}", [2]),
        ("return flow.seq {\n  flow.seq {},\n  flow.seq {},\n}", [2, 3, 4]),
        ("local function s()\n  return flow.seq {}\nend\nreturn flow.seq { s(), s() }", [5, 3, 3]),
        ("local function s()\n local n = flow.seq {} return n end\nreturn flow.seq{ s() }", [4, 3]),
        ("local ok, n = pcall(function()\n return flow.seq {} end) return flow.seq { n }", [3, 3]),
        ("local s = coroutine.wrap(function()\n coroutine.yield(flow.seq {}) end) return s()", [3]),
        ("local s = flow.seq\n\nreturn s { s {} }", [4, 4]),
    ],
)  # fmt: skip
async def test_a_node_knows_the_line_of_its_builder(source: str, lines: list[int]) -> None:
    node = await author(HEAD + source)
    found = [node["__line"], *(child["__line"] for child in node.get("__list", []))]
    assert found == lines


async def test_a_call_without_a_table_fails_on_the_line_of_the_helper_that_made_it() -> None:
    failed = await failure(HEAD + "local function s(a)\n  return flow.step(a)\nend\n\ns()")
    assert failed.where == Place("blueprints/review.lua", 3)


async def test_an_error_of_plain_lua_has_its_line() -> None:
    failed = await failure("local t\n\nreturn t.x")
    assert str(failed) == "blueprints/review.lua:3: attempt to index a nil value (local 't')"


async def test_a_list_with_names_that_no_builder_made_cannot_leave() -> None:
    failed = await failure("return { 1, x = 2 }")
    assert failed.code == "script.result"


async def test_a_cycle_is_told_in_a_short_sentence() -> None:
    failed = await failure("local t = {} t.t = t return t")
    assert failed.code == "script.result"
    assert "value" + ".t" * 12 + "… cannot leave Lua: nested deeper than" in str(failed)


async def test_a_hundred_nested_nodes_leave() -> None:
    source = "local n = flow.seq {} for _ = 1, 126 do n = flow.seq { n } end return n"
    node = await author(HEAD + source)
    depth = 1
    while "__list" in node:
        node = node["__list"][0]
        depth += 1
    assert depth == 127


@pytest.mark.parametrize(
    "source",
    [
        "while true do end",
        "while true do pcall(error) end",
        "while true do flow.lit(1) end",
        "while true do pcall(flow.step) end",
        "while true do local ok = pcall(require, 'absent') end",
        "::again:: goto again",
    ],
)
async def test_a_blueprint_script_has_a_budget(source: str) -> None:
    failed = await failure(HEAD + source, limits=ScriptLimits(instructions=300_000))
    assert failed.code == "script.budget"


async def test_a_thousand_nodes_fit_the_budget() -> None:
    source = """
    local nodes = {}
    for i = 1, 1000 do
      nodes[i] = flow.step { agent = "a", input = { n = i, m = { "ctx.x" } }, out = "ctx.o" .. i }
    end
    return flow.seq(nodes)
    """
    assert len((await author(HEAD + source))["__list"]) == 1000


async def test_authors_have_no_input_and_no_debug() -> None:
    assert await author("return { input == nil, swarm == nil, debug == nil }") == [True, True, True]


async def test_modules_below_the_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "review.lua").write_text(
        HEAD + "local name, path = ...\nreturn { name, path, flow.seq {} }"
    )
    name, path, node = await author("return require 'parts.review'", tmp_path)
    assert (name, path) == ("parts.review", str(tmp_path / "parts/review.lua"))
    assert (node["__file"], node["__line"]) == (path, 3)


async def test_a_module_runs_once(tmp_path: Path) -> None:
    (tmp_path / "once.lua").write_text("runs = (runs or 0) + 1\nreturn { runs = runs }")
    source = "local a, b = require 'once', require 'once' return { a == b, a.runs }"
    assert await author(source, tmp_path) == [True, 1]


async def test_a_module_that_returns_nothing_is_true(tmp_path: Path) -> None:
    (tmp_path / "quiet.lua").write_text("")
    assert await author("return require 'quiet'", tmp_path) is True


async def test_a_circle_of_modules_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.lua").write_text("\nreturn require 'b'")
    (tmp_path / "b.lua").write_text("return require 'a'")
    failed = await failure("return require 'a'", tmp_path)
    assert failed.where == Place(str(tmp_path / "b.lua"), 1)
    assert failed.bare == "require: a circle: 'a' requires 'b' requires 'a'"


async def test_an_error_in_a_module_has_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("\n\nlocal x = nil + 1")
    failed = await failure("return require 'bad'", tmp_path)
    assert failed.where == Place(str(tmp_path / "bad.lua"), 3)


async def test_a_syntax_error_in_a_module_has_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("\nlocal = 2")
    failed = await failure("return require 'bad'", tmp_path)
    assert failed.where == Place(str(tmp_path / "bad.lua"), 2)


async def test_a_missing_module_is_blamed_on_the_line_that_wants_it(tmp_path: Path) -> None:
    failed = await failure("\nlocal x = require 'absent'", tmp_path)
    assert failed.where == Place("blueprints/review.lua", 2)
    assert "no file" in failed.bare


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc/passwd", "a..b", ".a", "a.", "a\0b", "a b", "a\\b"]
)
async def test_a_name_cannot_leave_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "x.lua").write_text("return 1")
    (tmp_path / "in").mkdir()
    with pytest.raises(ModuleMissing, match="expected words joined by dots"):
        find_module(name, tmp_path / "in")


async def test_a_name_must_be_a_string(tmp_path: Path) -> None:
    assert "expected a name, got table" in str(await failure("require {}", tmp_path))


async def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.lua").write_text("return 'secret'")
    (inside / "near.lua").write_text("return 'near'")
    (inside / "link.lua").symlink_to(outside / "secret.lua")
    (inside / "folder").symlink_to(outside)
    (inside / "alias.lua").symlink_to(inside / "near.lua")
    for name in ("link", "folder.secret"):
        with pytest.raises(ModuleMissing, match="leads out of"):
            find_module(name, inside)
    assert find_module("alias", inside).source == b"return 'near'"


async def test_a_module_has_a_largest_size(tmp_path: Path) -> None:
    (tmp_path / "big.lua").write_bytes(b"-" * MAX_SOURCE)
    (tmp_path / "bigger.lua").write_bytes(b"-" * (MAX_SOURCE + 1))
    assert len(find_module("big", tmp_path).source) == MAX_SOURCE
    with pytest.raises(ModuleMissing, match="more than 262144 bytes"):
        find_module("bigger", tmp_path)


async def test_a_module_must_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin.lua").write_bytes(b"return '\xe9'")
    assert "not UTF-8" in str(await failure("require 'latin'", tmp_path))


async def test_the_standard_library_wins_over_the_folder(tmp_path: Path) -> None:
    (tmp_path / "flow.lua").write_text("return 'mine'")
    assert find_module("flow", tmp_path).trusted


async def test_what_authors_change_does_not_reach_the_standard_library() -> None:
    source = """
    string.find, table.concat, error, type, require = nil, nil, nil, nil, nil
    return require_flow.step { agent = "a", out = "ctx.x" }
    """
    node = await author("require_flow = require 'flow'" + source)
    assert bare(node) == {"__swarm": "step", "agent": "a", "out": "ctx.x"}


async def test_authors_cannot_reach_what_the_standard_library_may_ask() -> None:
    source = "local t = {} for k, v in pairs(require 'flow.check') do t[k] = type(v) end return t"
    assert "caller" not in await author(source)
    assert await author("return select('#', ...)") == 0


UNSET = "'{}': expected a name that the script gives a value, got nil"


@pytest.mark.parametrize(
    ("source", "line", "name"),
    [
        ("return flow.seq { flow.seq {},\n  last_step }", 3, "last_step"),
        ("local t = { 1, misspelt }\nreturn flow.seq {}", 2, "misspelt"),
        ("local t = _G.misspelt\nreturn flow.seq {}", 2, "misspelt"),
        ("local a = first or second\nreturn flow.seq {}", 2, "first"),
        ("unset = nil\nlocal a = unset\nreturn flow.seq {}", 3, "unset"),
    ],
)
async def test_a_name_that_nothing_gives_a_value_is_not_lost(
    source: str, line: int, name: str
) -> None:
    failed = await failure(HEAD + source)
    assert (failed.code, failed.bare) == ("script.error", UNSET.format(name))
    assert failed.where == Place("blueprints/review.lua", line)


@pytest.mark.parametrize(
    "source",
    [
        "first_seen = first_seen or 1\nreturn flow.seq {}",
        "local unpack = unpack or table.unpack\nreturn flow.seq {}",
        "local bits, say = bit32, print\nreturn flow.seq {}",
        "local a = rawget(_G, 'misspelt')\nreturn flow.seq {}",
        "local t = {}\nlocal a = t.misspelt\nreturn flow.seq {}",
    ],
)
async def test_what_has_a_value_in_the_end_or_elsewhere_may_be_asked_for(source: str) -> None:
    assert bare(await author(HEAD + source)) == {"__swarm": "seq"}


async def test_mistakes_of_builders_are_told_before_names_without_a_value() -> None:
    told = await author(HEAD + "return flow.seq { misspelt, flow.seq {}, last_step }")
    (stray,) = told["__strays"]
    assert [fault["item"] for fault in stray["__problems"]] == [1]


async def test_a_modules_name_without_a_value_is_told_in_the_module(tmp_path: Path) -> None:
    (tmp_path / "part.lua").write_text("local x = 1\nreturn { x, misspelt }")
    failed = await failure("local part = require 'part'\nreturn 1", tmp_path)
    assert failed.bare == UNSET.format("misspelt")
    assert failed.where == Place(str(tmp_path / "part.lua"), 2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("if a != 1 then end", "'then' expected near '!' — 'not equal' is written ~="),
        ("if a = 1 then end", "'then' expected near '=' — 'equal' is written =="),
        ("if a && b then end", "unexpected symbol near '&' — 'both' is written and"),
        ("if a || b then end", "unexpected symbol near '|' — 'either' is written or"),
        ("if !a then end", "unexpected symbol near '!' — negation is written not"),
        ("a += 1", "syntax error near '+' — write x = x + 1"),
        ("a++", "syntax error near '+' — write x = x + 1"),
        ("a -= 1", "syntax error near '-' — write x = x - 1"),
        ("do end // note", "unexpected symbol near '//' — a comment begins with --"),
        (
            "local a = b ? 1 : 2",
            "unexpected symbol near '?' — one of two values is chosen with if, or by c and a or b",
        ),
        (
            "for i = 1, 2 do if a then continue end end",
            (
                "syntax error near 'end' — Lua has no continue: choose with if, or goto a label at "
                "the loop's end"
            ),
        ),
        ("if a then continues end", "syntax error near 'end'"),
        (
            "local a = \u201ctea\u201d",
            "unexpected symbol near '\u201c' — a text stands between \" and \"",
        ),
        (
            "local a =\u00a01",
            "unexpected symbol near U+00A0 — outside of texts Lua is written in ASCII",
        ),
        (
            "ctx.größe = 1",
            (
                "syntax error near 'ö' — names have A-Z, a-z, 0-9 and _; any other key is written "
                'ctx["…"]'
            ),
        ),
        ("local a = 'x\u201d' )", "unexpected symbol near ')'"),
        ("a - b", "syntax error near '-'"),
    ],
)
async def test_what_another_language_writes_is_said_in_lua(source: str, message: str) -> None:
    failed = await failure("local x = 1\r\n" + source)
    assert (failed.code, failed.bare) == ("script.syntax", message)
    assert failed.where == Place("blueprints/review.lua", 2)
