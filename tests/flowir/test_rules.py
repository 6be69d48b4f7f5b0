"""The rules of `check`, sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.check import check
from flowir.externs import Extern
from flowir.text import parse_expr


def told(document: Any, **options: Any) -> list[str]:
    found = check(document, **options)
    return [f"{one.code}: {one}" for one in found]


def step(ref: str = "a", input: str = "1") -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": parse_expr(input)}


def assign(value: str) -> dict[str, Any]:
    return {"kind": "assign", "at": "$.x", "value": parse_expr(value)}


def seq(*nodes: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(nodes)}


def branch(cond: str, *nodes: Any) -> dict[str, Any]:
    return {"kind": "branch", "cond": parse_expr(cond), "then": seq(*nodes)}


def test_a_step_asks_somebody_that_there_is() -> None:
    said = "ref.unknown: $.ref: expected the name of something that does steps, got"
    assert told(step("review"), refs=["review"]) == []
    assert told(step("reviw"), refs=["review"]) == [f"{said} 'reviw' — did you mean 'review'?"]
    assert told(step("zzz"), refs=[]) == [f"{said} 'zzz'"]
    assert told(step("zzz")) == []


@pytest.mark.parametrize(
    ("cond", "got"),
    [
        ("1", "1"),
        ("'yes'", "'yes'"),
        ("nil", "null"),
        ("lit{ a = 1 }", "{'a': 1}"),
        ("ctx.a + 1", "an expression that never is one"),
        ("{ ctx.a }", "an expression that never is one"),
    ],
)
def test_a_condition_is_a_boolean(cond: str, got: str) -> None:
    (first, *_) = told(branch(cond))
    assert first == (
        f"cond.not_boolean: $.cond: expected a boolean, got {got} — compare: ctx.n ~= 0"
    )


FAIL = assign("fail('a.b', 'no')")
NEVER = "expected a node that can be reached, got one that never runs: "


@pytest.mark.parametrize(
    ("document", "place", "why"),
    [
        (branch("false", step()), "$.then", "cond is always false"),
        ({**branch("true"), "else": step()}, "$.else", "cond is always true"),
        (seq(FAIL, step(), step()), "$.children[1]", "the node before it always fails"),
    ],
)
def test_a_node_that_nothing_leads_to_is_told_with_the_reason(
    document: Any, place: str, why: str
) -> None:
    assert told(document) == [f"node.unreachable: {place}: {NEVER}{why}"]


def test_what_a_host_made_itself_may_be_out_of_reach() -> None:
    assert told(seq(FAIL, {**step(), "implicit": True})) == []


@pytest.mark.parametrize(
    ("text", "takes", "got"),
    [
        ("string.upper()", "1 argument", 0),
        ("string.upper(1, 2)", "1 argument", 2),
        ("own.two(1)", "2 arguments", 1),
        ("own.two(1, 2, 3)", "2 arguments", 3),
        ("own.some()", "1 to 3 arguments", 0),
        ("own.some(1, 2, 3, 4)", "1 to 3 arguments", 4),
        ("own.many(1)", "at least 2 arguments", 1),
        ("own.one()", "at least 1 argument", 0),
    ],
)
def test_a_function_is_called_with_as_many_as_it_takes(text: str, takes: str, got: int) -> None:
    said = f"$.value.args: expected {takes} for {text.partition('(')[0]}, got {got}"
    assert told(assign(text), externs=OWN) == [f"extern.arity: {said}"]


def test_a_function_is_one_that_there_is() -> None:
    said = "extern.unknown: $.value.ref: expected the name of an extern, got"
    assert told(assign("call('zzz')")) == [f"{said} 'zzz'"]
    near = "did you mean 'string.upper'?"
    assert told(assign("strng.upper(1)")) == [f"{said} 'strng.upper' — {near}"]


def _function(*args: Any) -> Any:
    return None


OWN = {
    "own.two": Extern("own.two", _function, 2, 2),
    "own.some": Extern("own.some", _function, 1, 3),
    "own.many": Extern("own.many", _function, 2, None),
    "own.one": Extern("own.one", _function, 1, None),
    "own.plain": _function,
}


@pytest.mark.parametrize(
    "text",
    ["string.upper(1)", "own.two(1, 2)", "own.some(1)", "own.some(1, 2, 3)", "own.many(1, 2)",
     "own.many(1, 2, 3, 4, 5)", "own.one(1)", "own.plain()", "own.plain(1, 2, 3)"],
)  # fmt: skip
def test_what_takes_so_many_is_called_without_a_word(text: str) -> None:
    assert told(assign(text), externs=OWN) == []


def test_of_names_alone_nobody_knows_how_many_they_take() -> None:
    assert told(assign("own.x(1, 2)"), externs=["own.x"]) == []
    (found,) = told(assign("own.y(1)"), externs=["own.x"])
    assert found.endswith("got 'own.y' — did you mean 'own.x'?")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ctx.a or 1", "default(ctx.a, 1)"),
        ("ctx.a or { 1 }", "default(ctx.a, …)"),
        ("ctx.a or lit{ 1 }", "default(ctx.a, …)"),
        ("ctx.a or ctx.b or 1", "default(value, fallback)"),
        ("ctx.a and 1 or 2", "iif(ctx.a, 1, 2)"),
        ("ctx.a and ctx.b and 1 or 2", "default(…, 2)"),
        ("ctx.a and 1", "iif(condition, value, other)"),
    ],
)
def test_what_lua_would_hand_on_is_told_with_what_does(text: str, hint: str) -> None:
    op = parse_expr(text)["op"]
    said = f"text.or_value: $.value: expected a value, got the boolean that '{op}' gives — {hint}"
    assert told(assign(text)) == [said]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{ a = ctx.a or 1 }", ".fields.a"),
        ("{ 0, ctx.a or 1 }", ".items[1]"),
        ("string.upper(ctx.a or 1)", ".args[0]"),
        ("iif(ctx.x, 1, ctx.a or 1)", ".else"),
        ("map(ctx.l, function(r) return r or 1 end)", ".body"),
        ("(ctx.a or 1) == 2", ".lhs"),
        ("default(ctx.a or 1, 2)", ".arg"),
    ],
)
def test_it_is_told_where_a_value_is_asked_for(text: str, place: str) -> None:
    (found,) = told(assign(text))
    assert found.startswith(f"text.or_value: $.value{place}: expected a value, got the boolean")


@pytest.mark.parametrize(
    "text",
    [
        "not (ctx.a or 1)",
        "iif(ctx.a or 1, 1, 2)",
        "filter(ctx.l, function(r) return r or 1 end)",
        "any(ctx.l, function(r) return r and 1 end)",
        "every(ctx.l, function(r) return r or 1 end)",
        "not (ctx.b and (ctx.a or 1))",
        "not iif(ctx.b, ctx.a or 1, 2)",
        "ctx.a == 1 or ctx.b == 2",
        "ctx.a and ctx.b",
    ],
)
def test_where_only_the_truth_counts_nothing_is_told(text: str) -> None:
    assert told(assign(text)) == []


def test_of_one_that_is_told_the_operands_are_not() -> None:
    assert len(told(assign("(ctx.a or 1) or 2"))) == 1
    assert len(told(assign("ctx.b and (ctx.a or 1) or 2"))) == 1
    assert told(branch("ctx.a or 1")) == []
