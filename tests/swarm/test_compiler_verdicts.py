"""What a flow compares verdicts with, wherever they have gone meanwhile."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.errors import Problem
from flowir.wire import load
from swarm.blueprint.texts import expand_texts
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.compiler.verdicts import verdict_problems
from swarm.errors import BlueprintInvalid
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.lua import LuaFactory

WORDS = {
    "reviewer": ("PASS", "BLOCKED"),
    "judge": ("YES", "NO", "MAYBE"),
    "second": ("YES", "NO"),
}


def step(out: str, ref: str = "reviewer") -> Any:
    return {"kind": "step", "ref": ref, "in": "null", "out": out}


def assign(at: str, value: str) -> Any:
    return {"kind": "assign", "at": at, "value": value}


def seq(*nodes: Any) -> Any:
    return {"kind": "seq", "children": list(nodes)}


def implicit(*nodes: Any) -> Any:
    """Return what is computed for a condition, and who goes by it."""
    return {**seq(assign("$.y", "1"), *nodes), "implicit": True}


def branch(cond: str, then: Any = None, other: Any = None) -> Any:
    node = {"kind": "branch", "cond": cond, "then": then or seq()}
    return node if other is None else {**node, "else": other}


def loop(cond: str, body: Any, **more: Any) -> Any:
    return {"kind": "loop", "counter": "$.n", "cond": cond, "body": body, "max": 3, **more}


def fanout(body: Any, **more: Any) -> Any:
    return {
        "kind": "fanout",
        "items": "ctx.items",
        "bind": "$.item",
        "body": body,
        "join": "all",
        "out": "$.all",
        **more,
    }


def attempt(body: Any, catch: Any, **more: Any) -> Any:
    return {"kind": "try", "body": body, "catch": catch, "error_at": "$.error", **more}


def found(*nodes: Any) -> list[str]:
    wrong: list[Problem] = []
    flow = load(expand_texts(seq(*nodes), "$", wrong))
    assert wrong == []
    return [f"{problem.code}: {problem}" for problem in verdict_problems(flow, WORDS)]


def unknown(*nodes: Any) -> list[str]:
    """Return the words that nobody says."""
    told = [one for one in found(*nodes) if one.startswith("verdict.unknown")]
    return [one.partition(", got ")[2].partition(" — ")[0].strip("'") for one in told]


REVIEW = step("$.review")
NOTHING = assign("$.n", "1")
OTHER = branch("ctx.x", assign("$.y", "1"))

# Flows in which `WORD` is compared with a verdict of the reviewer.
COMPARED: dict[str, tuple[Any, ...]] = {
    "the answer": (REVIEW, branch("ctx.review == 'WORD'")),
    "its member": (REVIEW, branch("ctx.review.verdict == 'WORD'")),
    "the other way round": (REVIEW, branch("'WORD' == ctx.review.verdict")),
    "unlike": (REVIEW, branch("ctx.review.verdict ~= 'WORD'")),
    "among others": (REVIEW, branch("contains({ 'PASS', 'WORD' }, ctx.review.verdict)")),
    "in a literal list": (REVIEW, branch("contains(lit{ 'WORD' }, ctx.review.verdict)")),
    "sought among several": (
        fanout(REVIEW, collect="ctx.review"),
        branch("contains(ctx.all, 'WORD')"),
    ),
    "sought among their members": (
        fanout(REVIEW, collect="ctx.review.verdict"),
        branch("not (contains(ctx.all, 'WORD'))"),
    ),
    "sought in a list of two": (
        REVIEW,
        branch("contains({ ctx.review, ctx.review.verdict }, 'WORD')"),
    ),
    "with a default": (REVIEW, branch("default(ctx.review.verdict, '') == 'WORD'")),
    "before it is there": (loop("default(ctx.review, '') ~= 'WORD'", REVIEW),),
    "in a junction": (REVIEW, branch("ctx.x and (ctx.y or ctx.review == 'WORD')")),
    "negated": (REVIEW, branch("not (ctx.review == 'WORD')")),
    "in an assignment": (REVIEW, assign("$.ok", "ctx.review.verdict == 'WORD'")),
    "in a step's input": (REVIEW, {**step("$.z", "judge"), "in": "{ ok = ctx.review == 'WORD' }"}),
    "copied": (REVIEW, assign("$.v", "ctx.review.verdict"), branch("ctx.v == 'WORD'")),
    "copied whole": (REVIEW, assign("$.b.c", "ctx.review"), branch("ctx.b.c.verdict == 'WORD'")),
    "copied with what encloses it": (
        step("$.a.review"),
        assign("$.b", "ctx.a"),
        branch("ctx.b.review.verdict == 'WORD'"),
    ),
    "copied twice": (
        REVIEW,
        assign("$.v", "ctx.review"),
        assign("$.w", "ctx.v"),
        branch("ctx.w == 'WORD'"),
    ),
    "in an object": (
        REVIEW,
        assign("$.o", "{ v = ctx.review.verdict, n = 1 }"),
        branch("ctx.o.v == 'WORD'"),
    ),
    "in a list": (
        REVIEW,
        assign("$.l", "{ ctx.review, ctx.review }"),
        branch("ctx.l[0].verdict == 'WORD'"),
    ),
    "of each in a list": (
        REVIEW,
        assign("$.l", "{ ctx.review }"),
        branch("every(ctx.l, function(r) return r.verdict == 'WORD' end)"),
    ),
    "of those left of a list": (
        REVIEW,
        assign("$.l", "filter({ ctx.review }, function(r) return true end)"),
        branch(
            "any(map(ctx.l, function(r) return r.verdict end), function(v) return v == 'WORD' end)"
        ),
    ),
    "of two ways": (
        branch("ctx.x", REVIEW, step("$.review")),
        branch("ctx.review == 'WORD'"),
    ),
    "of one way": (branch("ctx.x", REVIEW), branch("ctx.review == 'WORD'")),
    "in a loop": (loop("true", seq(REVIEW, branch("ctx.review == 'WORD'"))),),
    "of the round before": (
        loop("true", seq(branch("default(ctx.review, '') == 'WORD'"), REVIEW)),
    ),
    "in a lane": (fanout(seq(REVIEW, branch("ctx.review == 'WORD'"))),),
    "out of lanes": (
        fanout(REVIEW, collect="ctx.review"),
        branch("any(ctx.all, function(r) return r.verdict == 'WORD' end)"),
    ),
    "out of whole lanes": (
        fanout(REVIEW),
        branch("any(ctx.all, function(r) return r.review.verdict == 'WORD' end)"),
    ),
    "out of the first lane": (
        fanout(REVIEW, collect="ctx.review", join="race"),
        branch("ctx.all == 'WORD'"),
    ),
    "out of settled lanes": (
        fanout(REVIEW, collect="ctx.review", join="all_settled"),
        branch("any(ctx.all, function(r) return r.value == 'WORD' end)"),
    ),
    "over answers": (
        fanout(REVIEW, collect="ctx.review"),
        fanout(branch("ctx.item.verdict == 'WORD'"), items="ctx.all", out="$.more"),
    ),
    "in a body": (attempt(seq(REVIEW, branch("ctx.review == 'WORD'")), seq()),),
    "after a body": (attempt(REVIEW, assign("$.x", "1")), branch("ctx.review == 'WORD'")),
    "in a catch": (REVIEW, attempt(seq(), branch("ctx.review == 'WORD'"))),
    "in a finally": (attempt(REVIEW, seq(), **{"finally": branch("ctx.review == 'WORD'")}),),
    "in a limit": (REVIEW, fanout(seq(), limit="iif(ctx.review == 'WORD', 1, 2)")),
    "in a quorum": (
        REVIEW,
        fanout(seq(), join="quorum", quorum="iif(ctx.review == 'WORD', 1, 2)"),
    ),
    "in a key": (REVIEW, assign("$.x", "get(ctx.y, iif(ctx.review == 'WORD', 'a', 'b'))")),
    "of either way of a choice": (
        REVIEW,
        step("$.z"),
        branch("iif(ctx.x, ctx.review, ctx.z) == 'WORD'"),
    ),
    "in a choice": (REVIEW, assign("$.x", "iif(ctx.review == 'WORD', 1, 2)")),
    "in the way of a choice": (REVIEW, assign("$.x", "iif(ctx.y, ctx.review == 'WORD', 2)")),
    "in the other way of a choice": (REVIEW, assign("$.x", "iif(ctx.y, 2, ctx.review == 'WORD')")),
    "in a default": (REVIEW, assign("$.x", "default(ctx.y, ctx.review == 'WORD')")),
    "in what a function is given": (
        REVIEW,
        assign("$.x", "object.without({ ok = ctx.review == 'WORD' }, 'y')"),
    ),
    "in the rest of the context": (
        REVIEW,
        assign("$.rest", "object.without(ctx, 'x')"),
        branch("ctx.rest.review == 'WORD'"),
    ),
    "in a catch, after the body": (attempt(REVIEW, branch("ctx.review == 'WORD'"), restore=False),),
    "in a catch, as it was before the body": (
        REVIEW,
        attempt(step("$.review", "judge"), branch("ctx.review == 'WORD'"), restore=True),
    ),
    "beside what is not there yet": (
        step("$.z"),
        branch("iif(ctx.x, ctx.review, ctx.z) == 'WORD'"),
        REVIEW,
    ),
    "beside a literal's member": (
        branch("ctx.x", assign("$.v", "lit{ r = 'NONE' }"), step("$.v.r")),
        branch("ctx.v.r == 'WORD'"),
    ),
    "beside a literal's items": (
        REVIEW,
        branch("ctx.x", assign("$.l", "lit{ 'NONE' }"), assign("$.l", "{ ctx.review }")),
        branch("any(ctx.l, function(r) return r == 'WORD' end)"),
    ),
    "of some item": (
        REVIEW,
        assign("$.l", "{ ctx.review }"),
        branch("get(ctx.l, ctx.i).verdict == 'WORD'"),
    ),
    "the word alone, out of the first lane": (
        fanout(REVIEW, collect="ctx.review.verdict", join="race"),
        branch("ctx.all == 'WORD'"),
    ),
    "the word alone, out of a whole lane": (
        fanout(REVIEW, join="any"),
        branch("ctx.all.review.verdict == 'WORD'"),
    ),
    "over words": (
        REVIEW,
        assign("$.l", "{ ctx.review.verdict }"),
        fanout(branch("ctx.item == 'WORD'"), items="ctx.l"),
    ),
    "beside a literal": (
        assign("$.v", "'NONE'"),
        branch("ctx.x", step("$.v")),
        branch("ctx.v == 'WORD'"),
    ),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_word_that_nobody_says_is_found(name: str) -> None:
    def with_word(word: str) -> list[str]:
        return unknown(*eval(repr(COMPARED[name]).replace("WORD", word)))  # noqa: S307

    assert with_word("PAS") == ["PAS"]
    assert with_word("PASS") == []


# Flows of which nothing can be said.
NOT_SURE: dict[str, tuple[Any, ...]] = {
    "what was given": (branch("ctx.review.verdict == 'X'"),),
    "another member": (REVIEW, branch("ctx.review.why == 'X'")),
    "deeper": (REVIEW, branch("ctx.review.verdict.x == 'X'")),
    "written over": (REVIEW, assign("$.review", "ctx.x"), branch("ctx.review == 'X'")),
    "a member written over": (
        REVIEW,
        assign("$.review.verdict", "'X'"),
        branch("ctx.review.verdict == 'X'"),
    ),
    "written over on one way": (
        REVIEW,
        branch("ctx.x", assign("$.review", "ctx.y")),
        branch("ctx.review == 'X'"),
    ),
    "what encloses it written over": (
        step("$.a.review"),
        assign("$.a", "ctx.x"),
        branch("ctx.a.review == 'X'"),
    ),
    "the context written over": (REVIEW, assign("$", "ctx.x"), branch("ctx.review == 'X'")),
    "a default of its own": (REVIEW, branch("default(ctx.review, 'X') == 'X'")),
    "a literal": (branch("ctx.x", REVIEW), assign("$.v", "'X'"), branch("ctx.v == 'X'")),
    "two values": (REVIEW, branch("ctx.review == ctx.wanted")),
    "among lists": (REVIEW, branch("contains({ lit{ 'X' }, { 'X' } }, ctx.review)")),
    "a list of words": (REVIEW, branch("ctx.review == lit{ 'X' }")),
    "where it is sought": (REVIEW, branch("contains(ctx.review, 'X')")),
    "sought among others": (REVIEW, branch("contains({ ctx.review, ctx.x }, 'X')")),
    "a list that is sought": (
        fanout(REVIEW, collect="ctx.review"),
        branch("contains(ctx.all, lit{ 'X' })"),
    ),
    "larger": (REVIEW, branch("ctx.review > 'X'")),
    "a part": (REVIEW, branch("string.contains(ctx.review, 'X')")),
    "another agent": (step("$.v", "stranger"), branch("ctx.v == 'X'")),
    "by a name that is computed": (REVIEW, branch("get(ctx, ctx.name) == 'X'")),
    "the rest of the context without it": (
        REVIEW,
        assign("$.rest", "object.without(ctx, 'review')"),
        branch("ctx.rest.review == 'X'"),
    ),
    "the rest of something else": (
        REVIEW,
        assign("$.rest", "object.without(ctx.y, 'x')"),
        branch("ctx.rest.review == 'X'"),
    ),
    "the context without what is computed": (
        REVIEW,
        assign("$.rest", "object.without(ctx, ctx.x)"),
        branch("ctx.rest.review == 'X'"),
    ),
    "what merely has the context's members": (
        REVIEW,
        assign("$.rest", "object.merge(ctx, 'x')"),
        branch("ctx.rest.review == 'X'"),
    ),
    "a choice with something else": (REVIEW, branch("iif(ctx.x, ctx.review, ctx.y) == 'X'")),
    "a counter's place": (
        REVIEW,
        loop("ctx.review == 'X'", seq(), counter="$.review"),
    ),
    "a counter's place, afterwards": (
        REVIEW,
        loop("true", seq(), counter="$.review"),
        branch("ctx.review == 'X'"),
    ),
    "where a loop notes that it was exhausted": (
        REVIEW,
        loop("true", seq(), exhausted_at="$.review"),
        branch("ctx.review == 'X'"),
    ),
    "an index's place": (REVIEW, fanout(branch("ctx.review == 'X'"), index="$.review")),
    "an item's place": (REVIEW, fanout(branch("ctx.review == 'X'"), bind="$.review")),
    "where lanes are collected": (
        REVIEW,
        fanout(seq(), out="$.review"),
        branch("ctx.review == 'X'"),
    ),
    "an error's place": (REVIEW, attempt(seq(), branch("ctx.review == 'X'"), error_at="$.review")),
    "an error message's place": (
        REVIEW,
        attempt(seq(), branch("ctx.review == 'X'"), err_at="$.review"),
    ),
    "what a body may have written over": (
        REVIEW,
        attempt(step("$.review", "judge"), branch("ctx.review == 'YES'"), restore=False),
    ),
    "out of lanes that may differ": (
        fanout(branch("ctx.item", REVIEW), collect="ctx.x"),
        branch("any(ctx.all, function(r) return r == 'X' end)"),
    ),
    "not out of a lane": (assign("$.review", "ctx.x"), fanout(REVIEW), branch("ctx.review == 'X'")),
    "not out of a body that was undone": (
        attempt(REVIEW, assign("$.review", "ctx.x")),
        branch("ctx.review == 'X'"),
    ),
}


@pytest.mark.parametrize("name", NOT_SURE)
def test_what_is_not_certain_is_not_said(name: str) -> None:
    assert unknown(*NOT_SURE[name]) == []


def test_a_place_that_two_agents_write_is_judged_by_the_last() -> None:
    flow = (
        REVIEW,
        branch("ctx.review == 'YES'"),
        step("$.review", "judge"),
        branch("ctx.review == 'PASS'"),
        branch("ctx.review == 'YES'"),
    )
    assert unknown(*flow) == ["YES", "PASS"]


def test_a_place_that_either_of_two_agents_writes_may_be_a_word_of_both() -> None:
    either = branch("ctx.x", REVIEW, step("$.review", "judge"))
    assert unknown(either, branch("ctx.review == 'PASS'"), branch("ctx.review == 'YES'")) == []
    (told,) = [
        one for one in found(either, branch("ctx.review == 'YSE'")) if one.startswith("verdict.unk")
    ]
    assert told == (
        "verdict.unknown: $.children[1].cond.rhs: expected 'BLOCKED', 'MAYBE', 'NO', 'PASS' or "
        "'YES', a verdict of 'judge' and 'reviewer', got 'YSE' — did you mean 'YES'?"
    )


@pytest.mark.parametrize(
    "word", ["true", "1", "1.5", "null", "''", "'pass'", "'PASS '", "'\u0420ASS'"]
)
def test_what_is_no_word_of_the_set_is_found(word: str) -> None:
    assert len(unknown(REVIEW, branch(f"ctx.review == {word}"))) == 1


def carried(places: str) -> tuple[Any, ...]:
    """Return a loop that hands what the reviewer says from place to place, one a round."""
    hops = [assign(f"$.{to}", f"ctx.{of}") for of, to in reversed([*pairwise(places)])]
    before = [step(f"$.{place}", "judge") for place in places]
    return (*before, loop("true", seq(*hops, step(f"$.{places[0]}"))))


def test_a_word_may_come_to_a_place_only_after_many_rounds() -> None:
    """Three rounds settle it, a fourth sees that they did; beyond, nothing is known."""
    last = "ctx.{} == '{}'".format
    assert unknown(*carried("abc"), branch(last("c", "PASS"), None, seq())) == []
    assert unknown(*carried("abc"), branch(last("c", "X"), None, seq())) == ["X"]
    for many in ("abcd", "abcdef"):
        for word in ("PASS", "YES", "X"):
            assert unknown(*carried(many), branch(last(many[-1], word), None, seq())) == []


def test_a_body_that_fails_leaves_the_others_words() -> None:
    fail = assign("$.never", "fail('a.b', 'no')")
    assert unknown(
        branch("ctx.x", seq(assign("$.review", "ctx.y"), fail), REVIEW), branch("ctx.review == 'X'")
    ) == ["X"]
    assert unknown(
        branch("ctx.x", REVIEW, seq(assign("$.review", "ctx.y"), fail)), branch("ctx.review == 'X'")
    ) == ["X"]
    caught = attempt(REVIEW, seq(assign("$.review", "ctx.y"), fail))
    assert unknown(caught, branch("ctx.review == 'X'")) == ["X"]


# -- words that nobody hears --------------------------------------------------------------


def unheard(*nodes: Any) -> list[str]:
    told = [one for one in found(*nodes) if one.startswith("verdict.unhandled")]
    return [one.partition("a branch for ")[2].partition(", got ")[0] for one in told]


JUDGED = step("$.v", "judge")


@pytest.mark.parametrize(
    ("flow", "left"),
    [
        ((branch("ctx.v == 'YES'"),), "'MAYBE' or 'NO' of 'judge'"),
        ((branch("ctx.v.verdict == 'YES'"),), "'MAYBE' or 'NO' of 'judge'"),
        ((branch("ctx.v == 'YES'", None, branch("ctx.v == 'NO'")),), "'MAYBE' of 'judge'"),
        ((branch("ctx.v == 'YES' and ctx.x"), branch("ctx.v == 'NO'")), "'MAYBE' of 'judge'"),
        ((branch("ctx.v == 'YES' or ctx.v == 'NO'"),), "'MAYBE' of 'judge'"),
        ((branch("contains({ 'YES', 'NO' }, ctx.v)"),), "'MAYBE' of 'judge'"),
        ((branch("not (contains({ 'YES', 'NO' }, ctx.v))"),), None),
        ((branch("ctx.v == 'YES'"), loop("ctx.v == 'NO'", JUDGED)), "'MAYBE' of 'judge'"),
        ((branch("ctx.v == 'YES'", None, seq()),), None),
        ((branch("ctx.v == 'YES'", None, branch("ctx.v == 'NO'", None, seq())),), None),
        ((branch("ctx.v ~= 'YES'"),), None),
        # Of a chain, the first branch speaks for all.
        ((branch("ctx.v ~= 'YES'", None, branch("ctx.v == 'YES'")),), None),
        ((branch("ctx.v ~= 'YES'", None, seq(branch("ctx.v == 'YES'"))),), None),
        ((branch("ctx.v ~= 'YES'", None, implicit(branch("ctx.v == 'YES'"))),), None),
        ((branch("ctx.v == 'YES'", None, implicit(branch("ctx.v ~= 'YES'"))),), None),
        (
            (branch("ctx.v == 'YES'", None, implicit(branch("ctx.y"))),),
            "'MAYBE' or 'NO' of 'judge'",
        ),
        # Otherwise something else is done: what that goes by is another chain.
        ((branch("ctx.v == 'YES'", None, seq(assign("$.y", "1"), branch("ctx.y"))),), None),
        ((branch("ctx.v == 'YES'", None, implicit(seq(), branch("ctx.y"))),), None),
        ((branch("ctx.v == 'YES'", None, implicit(branch("ctx.y"), seq())),), None),
        # What is done otherwise may hold branches of its own.
        (
            (branch("ctx.x", None, seq(JUDGED, branch("ctx.v == 'YES'"))),),
            "'MAYBE' or 'NO' of 'judge'",
        ),
        ((branch("not (ctx.v == 'YES')"),), None),
        ((branch("not (ctx.v ~= 'YES')"),), "'MAYBE' or 'NO' of 'judge'"),
        ((branch("not ctx.x"),), None),
        ((branch("not (ctx.x == 'YES')"), assign("$.y", "ctx.v == 'NO'")), None),
        ((branch("ctx.x or ctx.v == 'YES' or ctx.v == 'NO'"),), "'MAYBE' of 'judge'"),
        ((branch("ctx.v == 'YES' or ctx.v ~= 'NO'"),), None),
        ((branch("ctx.v ~= 'YES' or ctx.v == 'NO'"),), None),
        ((branch("ctx.v == 'YES'"), branch("ctx.v == 'NO'"), branch("ctx.v == 'MAYBE'")), None),
        ((branch("ctx.v == 'YES'"), loop("contains({ 'NO', 'MAYBE' }, ctx.v)", JUDGED)), None),
        # Who looks whether a word is among several goes by none of them, and hears it.
        ((branch("contains({ ctx.v }, 'YES')"),), None),
        ((branch("ctx.v == 'YES'"), branch("contains({ ctx.v }, 'NO')")), "'MAYBE' of 'judge'"),
        ((branch("ctx.x"), assign("$.ok", "ctx.v == 'YES'")), None),
        ((loop("ctx.v == 'YES'", JUDGED),), None),
        ((), None),
    ],
)
def test_a_word_that_nobody_hears_is_found(flow: tuple[Any, ...], left: str | None) -> None:
    assert unheard(JUDGED, *flow) == ([] if left is None else [left])


def test_a_condition_that_goes_by_two_goes_by_the_first_of_them() -> None:
    both = (REVIEW, JUDGED, step("$.w", "second"))
    judge, reviewer = "'MAYBE' or 'NO' of 'judge'", "'BLOCKED' of 'reviewer'"
    assert unheard(*both, branch("ctx.v == 'YES' or ctx.review == 'PASS'")) == [judge]
    assert unheard(*both, branch("ctx.review == 'PASS' or ctx.v == 'YES'")) == [reviewer]
    # What the second lets be is said of the second alone.
    assert unheard(*both, branch("ctx.v == 'YES' or ctx.w ~= 'YES'")) == [judge]


def test_a_misspelt_word_is_one_mistake() -> None:
    chain = branch("ctx.review == 'PASS'", None, branch("ctx.review == 'BLOKED'"))
    assert [one.partition(":")[0] for one in found(REVIEW, chain)] == ["verdict.unknown"]


# -- from the author's file ----------------------------------------------------------------

PLAIN = """local flow = require "flow"
local judge = flow.lua "judge" { source = "return 'YES'", verdict = { "YES", "NO", "MAYBE" } }
return flow.blueprint {
  id = "a",
  agents = { judge },
  flow = function(ctx)
    local seen = {}
    for _, item in ipairs(ctx.items) do
      local answer = judge(item)
      -- COMMENT
      if answer.verdict == "YES" then
        seen[#seen + 1] = item
      elseif answer.verdict == "NOO" then
        ctx.no = true
      end
    end
    local verdict = judge(seen).verdict
    if verdict == "MAYBEE" then return { again = true } end
    ctx.last = verdict
    ctx.sure = ctx.last ~= "MAYBY"
    return ctx
  end,
}
"""


def load_file(folder: Path, text: str, name: str = "a.lua") -> Any:
    (folder / name).write_text(text, "utf-8")
    tools = Toolbox(InlineScripts(), {})
    registry = Registry([LuaFactory()], plugins=False)
    return anyio.run(partial(load_blueprint, str(folder / name), registry=registry, tools=tools))


def told(folder: Path, text: str, name: str = "a.lua") -> list[str]:
    with pytest.raises(BlueprintInvalid) as caught:
        load_file(folder, text, name)
    return [f"{p.where.line}: {p.code}" for p in caught.value.problems]


def test_plain_lua_is_judged_on_its_own_lines(tmp_path: Path) -> None:
    assert told(tmp_path, PLAIN) == [
        "13: verdict.unknown",
        "18: verdict.unknown",
        "20: verdict.unknown",
    ]
    right = PLAIN.replace("NOO", "NO").replace("MAYBEE", "MAYBE").replace("MAYBY", "MAYBE")
    assert load_file(tmp_path, right).id == "a"


UNHEARD = (
    PLAIN.replace('elseif answer.verdict == "NOO" then\n        ctx.no = true\n', "")
    .replace('if verdict == "MAYBEE" then return { again = true } end\n', "")
    .replace('ctx.sure = ctx.last ~= "MAYBY"\n', "")
)


ELSE = """
local flow = require "flow"
local judge = flow.lua "judge" { source = "return input", verdict = { "YES", "NO", "LATER" } }
return flow.blueprint { id = "e", agents = { judge }, flow = function(ctx)
  ctx.v = judge(ctx.x)
  if ctx.v == "YES" then ctx.ok = true
  elseif ctx.v == "NO" then ctx.ok = false
  else end
end }
"""


def test_an_empty_else_says_that_the_other_words_are_meant(tmp_path: Path) -> None:
    assert load_file(tmp_path, ELSE).id == "e"
    assert told(tmp_path, ELSE.replace("  else end", "  end")) == ["6: verdict.unhandled"]


def test_a_comment_allows_what_it_names_on_its_line_or_below(tmp_path: Path) -> None:
    assert told(tmp_path, UNHEARD) == ["11: verdict.unhandled"]
    allow = "allow: agent.unused, verdict.unhandled"
    above = load_file(tmp_path, UNHEARD.replace("COMMENT", allow))
    behind = load_file(tmp_path, UNHEARD.replace('== "YES" then', f'== "YES" then -- {allow}'))
    (allowed,) = above.document["allow"].values()
    assert allowed == ["verdict.unhandled"]
    assert above.digest == behind.digest
    assert told(tmp_path, UNHEARD.replace("COMMENT", "allow: verdict.unknown")) == [
        "11: verdict.unhandled"
    ]
    code = UNHEARD.replace("-- COMMENT", "local x = 1 -- allow: verdict.unhandled")
    assert told(tmp_path, code) == ["11: verdict.unhandled"]


def test_what_was_allowed_needs_no_comment_any_more(tmp_path: Path) -> None:
    import json

    found = load_file(tmp_path, UNHEARD.replace("COMMENT", "allow: verdict.unhandled"))
    again = load_file(tmp_path, json.dumps(found.document), "b.json")
    assert again.digest == found.digest
    without = {name: value for name, value in found.document.items() if name != "allow"}
    assert told(tmp_path, json.dumps(without), "b.json") == ["1: verdict.unhandled"]


def test_only_what_may_be_allowed_is(tmp_path: Path) -> None:
    wrong = PLAIN.replace("COMMENT", "allow: verdict.unknown").replace("\n      elseif", " elseif")
    assert "12: verdict.unknown" in told(tmp_path, wrong)


def test_a_problem_that_may_be_allowed_says_how(tmp_path: Path) -> None:
    with pytest.raises(BlueprintInvalid) as caught:
        load_file(tmp_path, UNHEARD)
    assert caught.value.problems[0].silence == "allow: verdict.unhandled"
    with pytest.raises(BlueprintInvalid) as caught:
        load_file(tmp_path, PLAIN)
    assert caught.value.problems[0].silence is None


# -- how much it may cost -------------------------------------------------------------------


def test_loops_within_loops_are_given_up_in_time() -> None:
    body: Any = seq(REVIEW, branch("ctx.review == 'PAS'"))
    for _ in range(40):
        body = loop("true", seq(body, REVIEW))
    started = time.process_time()
    assert unknown(body) in ([], ["PAS"])
    print(f"40 loops: {time.process_time() - started:.1f} s")  # noqa: T201


def costly(extra: int) -> list[Any]:
    """Return a flow, wrong at its end, that costs *extra* more than may be spent.

    A node costs ten, and one for each place that is known of before it.
    """
    places = 2_500
    most = 10 + places  # what a node costs at the end
    left = 5_000_000 + extra - 10 - sum(10 + known for known in range(places)) - 2 * most
    many, rest = divmod(left - 20, most)
    known = (min(rest, places), max(rest - places, 0))  # before two more nodes
    nodes = [step(f"$.r{i}") for i in range(places)]
    for place in known:
        nodes.insert(place, NOTHING)
    # The branch costs as much once more for what it does then.
    return [*nodes, *[NOTHING] * many, branch("ctx.r7 == 'PAS'")]


def test_a_flow_is_followed_as_far_as_is_fair() -> None:
    assert unknown(*costly(0)) == ["PAS"]
    assert unknown(*costly(1)) == []


@pytest.mark.parametrize(
    ("nodes", "work"),
    [
        ((), 0),
        ((REVIEW,), 11),
        ((NOTHING, NOTHING), 22),
        ((seq(NOTHING),), 22),
        ((branch("ctx.x", NOTHING),), 22),
        ((branch("ctx.x", NOTHING, NOTHING),), 33),
        ((fanout(NOTHING, out="$.review"),), 22),
        ((attempt(NOTHING, NOTHING),), 33),
        ((attempt(NOTHING, NOTHING, **{"finally": NOTHING}),), 44),
        # A loop is gone through until that changes nothing, and once to judge it.
        ((loop("ctx.x", NOTHING),), 33),
        ((loop("ctx.x", step("$.review", "judge")),), 44),
    ],
)
def test_a_node_costs_ten_and_one_for_each_place_that_is_known(
    nodes: tuple[Any, ...], work: int, monkeypatch: pytest.MonkeyPatch
) -> None:

    ends = (step("$.last"), branch("ctx.last == 'PAS'"))
    cost = 20 + work + 11 + 2 * 12
    monkeypatch.setattr("swarm.compiler.verdicts._WORK", cost)
    assert unknown(REVIEW, *nodes, *ends) == ["PAS"]
    monkeypatch.setattr("swarm.compiler.verdicts._WORK", cost - 1)
    assert unknown(REVIEW, *nodes, *ends) == []


def test_a_long_flow_is_followed_to_its_end() -> None:
    many = [
        node
        for i in range(1_000)
        for node in (step(f"$.r{i}"), branch(f"ctx.r{i} == 'PASS'", None, seq()))
    ]
    assert unknown(*many, branch("ctx.r7 == 'PAS'")) == ["PAS"]


def test_a_flow_that_knows_too_much_is_given_up_in_time() -> None:
    wide = [step(f"$.v{i}") for i in range(2_000)]
    wide += [
        branch(f"ctx.v{i} == 'PASS'", assign(f"$.v{i}", "ctx.v1"), seq()) for i in range(2_000)
    ]
    started = time.process_time()
    assert unknown(*wide) == []
    print(f"2,000 verdicts: {time.process_time() - started:.1f} s")  # noqa: T201
