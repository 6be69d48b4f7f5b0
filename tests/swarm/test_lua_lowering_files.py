"""Texts of files in a plain flow: they are put in when the blueprint is compiled."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid
from swarm.host.blocking import run_blocking
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.lua import LuaFactory

TONE = "Be brief.\n'So' said \"she\": [[no]] {more} Ü\n"
SCRIPT = """local flow = require "flow"
local say = flow.lua "say" "return input"
local TONE = flow.file "prompts/tone.txt"
local PROMPTS = { tone = flow.file "prompts/tone.txt", n = 2 }
local function prompt(topic) return TONE .. topic end
local function longest(a, b) local n = #a if #b > n then return b end return a end
return flow.blueprint { id = "p", agents = { say }, flow = function(ctx)
  %s
  say(1)
end }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "tone.txt").write_text(TONE, "utf-8")
    return tmp_path


def result(body: str, ctx: Any = None) -> Any:
    Path("a.lua").write_text(SCRIPT % body, "utf-8")
    return run_blocking("a.lua", ctx or {})


def load(body: str) -> CompiledBlueprint:
    Path("a.lua").write_text(SCRIPT % body, "utf-8")
    tools = Toolbox(InlineScripts(), {}, Path.cwd(), {})
    registry = Registry([LuaFactory()], plugins=False)
    return anyio.run(partial(load_blueprint, "a.lua", registry=registry, tools=tools))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('ctx.a = flow.file "prompts/tone.txt"', TONE),
        ('local t = flow.file("prompts/tone.txt") ctx.a = t', TONE),
        ("ctx.a = TONE", TONE),
        ("ctx.a = PROMPTS.tone", TONE),
        (
            "ctx.a = say { tone = TONE, n = { PROMPTS.tone, PROMPTS.n } }",
            {"tone": TONE, "n": [TONE, 2]},
        ),
        ('ctx.a = say(ctx.none or flow.file "prompts/tone.txt")', TONE),
        ("ctx.a = #TONE", len(TONE)),
        ("ctx.a = TONE .. (ctx.n or 1)", f"{TONE}1"),
        ("ctx.a = TONE:upper():sub(1, 2)", "BE"),
        ('ctx.a = TONE:match("%w+")', "Be"),
        ('ctx.a = prompt("tea")', f"{TONE}tea"),
        ('ctx.a = longest(TONE, "x")', TONE),
        ("if TONE then ctx.a = type(TONE) end", "string"),
        ("for line in TONE:gmatch('[^\\n]+') do ctx.a = line break end", "Be brief."),
        ("local _, e = pcall(function() error('a.b', TONE) end) ctx.a = e.message", TONE),
        ("ctx.a = parallel({ 1, 2 }, function(i) return TONE .. i end)", [f"{TONE}1", f"{TONE}2"]),
        ("while TONE == ctx.b do ctx.b = 0 ctx.a = 1 end", 1),
    ],
)
def test_a_text_stands_where_a_value_may(body: str, value: Any) -> None:
    assert result(body, {"b": TONE})["a"] == value


def test_the_text_is_in_the_document_and_not_the_name() -> None:
    made = load('ctx.a = say { tone = TONE, same = flow.file "prompts/tone.txt" }')
    assert list(made.files) == ["prompts/tone.txt", "a.lua"]
    assert "$file" not in str(made.document)
    step = made.document["flow"]["children"][1]
    text = {"op": "lit", "value": TONE}
    assert step["in"]["fields"] == {"tone": text, "same": text}


def test_a_file_that_is_missing_is_told_on_the_line_that_names_it() -> None:
    with pytest.raises(BlueprintInvalid) as e:
        load('ctx.n = 1\n  ctx.a = flow.file "prompts/toen.txt"')
    (problem,) = e.value.problems
    assert (problem.code, problem.where.line) == ("file.missing", 9)
    assert "toen.txt" in problem.message


def test_a_file_outside_of_the_folder_is_refused() -> None:
    with pytest.raises(BlueprintInvalid) as e:
        load('ctx.a = flow.file "../secret.txt"')
    assert [problem.code for problem in e.value.problems] == ["file.path"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("ctx.a = flow.file(ctx.name)", "flow.file takes the name of a file, a constant text"),
        ("ctx.a = flow.file(5)", "flow.file takes the name of a file, a constant text"),
        ("ctx.a = flow.file()", "flow.file takes one argument here"),
        ('ctx.a = flow.file("a", "b")', "flow.file takes one argument here"),
        ("ctx.a = flow.file", "'flow.file' is a function, not a value"),
        ("ctx.a = PROMPTS[ctx.name]", "is a table of functions, agents or files, not a value"),
        ("say(1, { id = TONE })", "the options of a call are constants"),
        ("TONE = 1", "'TONE' belongs to the script"),
        ("ctx.a = TONE()", "what is called here is no function"),
        ("ctx.a = TONE + 1", "'+' on a string"),
        ("ctx.a = flow.seq {}", "flow.seq builds a part of a flow"),
    ],
)
def test_what_no_file_can_be_is_refused_with_a_reason(body: str, says: str) -> None:
    with pytest.raises(BlueprintInvalid) as e:
        load(body)
    (problem,) = e.value.problems
    assert problem.code == "plain.refused"
    assert problem.where.line == 8
    assert says in problem.message
