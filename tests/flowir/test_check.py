from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from flowir.certain import constant
from flowir.check import check
from flowir.externs import Extern
from flowir.wire import load
from tests.flowir.strategies import documents
from tests.flowir.test_wire import (
    EMPTY,
    assign,
    attempt,
    each,
    fanout,
    lit,
    loop,
    negated,
    nested,
    path,
    seq,
    step,
)


def branch(cond: Any, then: Any = EMPTY, **more: Any) -> dict[str, Any]:
    return {"kind": "branch", "cond": cond, "then": then} | more


def op(name: str, *args: Any) -> dict[str, Any]:
    """Build an op over a list, one operand or two."""
    if name in ("and", "or", "concat"):
        return {"op": name, "args": list(args)}
    if name in ("not", "exists", "len"):
        return {"op": name, "arg": args[0]}
    if name == "default":
        return {"op": name, "arg": args[0], "fallback": args[1]}
    if name == "if":
        return {"op": name, "cond": args[0], "then": args[1], "else": args[2]}
    return {"op": name, "lhs": args[0], "rhs": args[1]}


def call(ref: str, *args: Any) -> dict[str, Any]:
    return {"op": "call_extern", "ref": ref, "args": list(args)}


def record(**fields: Any) -> dict[str, Any]:
    return {"op": "object", "fields": fields}


FAIL = assign("$", {"op": "fail", "code": "stop", "message": lit("m")})
UNKNOWN = step(**{"in": path("$.given")})  # reads what only the first context can give


def read(at: str) -> dict[str, Any]:
    return assign("$.seen", path(at))


def found(document: Any, **options: Any) -> list[tuple[str, str]]:
    return [(p.code, p.at) for p in check(document, **options)]


def unwritten(*nodes: Any, inputs: Any = None) -> list[str]:
    """Return the places of reads that find nothing, and assert that nothing else is told."""
    problems = check(seq(*nodes), inputs=inputs)
    assert {p.code for p in problems} <= {"path.unwritten"}
    return [p.at for p in problems]


def test_a_flow_without_problems_has_none() -> None:
    document = seq(step(out="$.a"), read("$.a.b"), branch(op("eq", path("$.a.n"), lit(1))))
    assert check(document) == check(load(document)) == check(json.dumps(document)) == ()


def test_a_malformed_document_has_the_problems_of_loading() -> None:
    assert found({"kind": "sep"}) == [("malformed", "$.kind")]
    assert found("{") == [("malformed", "$")]


def test_problems_are_told_in_the_order_of_the_document() -> None:
    document = {
        "kind": "branch",
        "else": step(ref="b"),
        "then": step(ref="c"),
        "cond": lit(1),
    }
    options: Any = {"refs": ["a"]}
    expected = [("ref.unknown", "$.else.ref"), ("ref.unknown", "$.then.ref")]
    assert found(document, **options) == [*expected, ("cond.not_boolean", "$.cond")]
    assert found(load(document), **options)[0] == ("cond.not_boolean", "$.cond")


# refs and externs


def test_a_step_that_nobody_does_is_told_with_a_near_miss() -> None:
    (problem,) = check(step(ref="wrter"), refs={"writer", "reviewer"})
    assert str(problem) == (
        "$.ref: expected the name of something that does steps, got 'wrter' — "
        "did you mean 'writer'?"
    )
    assert check(step(ref="wrter")) == ()


def test_an_unknown_extern_is_told_with_a_near_miss() -> None:
    (problem,) = check(assign(value=record(a=call("string.uper", lit("")))))
    assert (problem.code, problem.at) == ("extern.unknown", "$.value.fields.a.ref")
    assert problem.hint == "did you mean 'string.upper'?"


def test_a_host_s_own_externs_are_known() -> None:
    document = assign(value=call("tax.of", lit(1)))
    assert found(document) == [("extern.unknown", "$.value.ref")]
    assert check(document, externs={"tax.of": abs}) == ()
    assert check(document, externs=["tax.of"]) == ()
    assert check(assign(value=call("string.upper")), externs={"string.upper": abs}) == ()
    two = Extern("tax.of", max, 2, 2)
    assert found(document, externs={"tax.of": two}) == [("extern.arity", "$.value.args")]


@pytest.mark.parametrize(
    ("expr", "says"),
    [
        (call("string.upper"), "expected 1 argument for string.upper, got 0"),
        (call("string.split", lit("")), "expected 2 arguments for string.split, got 1"),
        (call("math.max"), "expected at least 1 argument for math.max, got 0"),
    ],
)
def test_a_wrong_number_of_arguments_is_told(expr: Any, says: str) -> None:
    (problem,) = check(assign(value=expr))
    assert (problem.code, problem.at, problem.message) == ("extern.arity", "$.value.args", says)


def test_a_range_of_arguments_is_told() -> None:
    externs = {"f": Extern("f", max, 1, 2)}
    (problem,) = check(assign(value=call("f")), externs=externs)
    assert problem.message == "expected 1 to 2 arguments for f, got 0"


# or as a value

A, B = path("$.a"), path("$.b")
YES = op("eq", A, lit(1))


@pytest.mark.parametrize(
    ("expr", "hint"),
    [
        (op("or", A, lit(0)), "default(ctx.a, 0)"),
        (op("or", path('$["a b"][0]'), lit("x")), "default(ctx[\"a b\"][0], 'x')"),
        (op("or", A, lit([])), "default(ctx.a, …)"),
        (op("or", op("and", A, lit(1)), lit(2)), "iif(ctx.a, 1, 2)"),
        (op("or", op("and", A, B, lit(1)), lit(2)), "default(…, 2)"),
        (op("or", A, B, lit(2)), "default(value, fallback)"),
        (op("and", A, lit(5)), "iif(condition, value, other)"),
        (op("or", YES, A), "default(…, ctx.a)"),
        (op("or", op("default", A, lit(0)), YES), "default(…, …)"),
    ],
)
def test_or_as_a_value_is_told(expr: Any, hint: str) -> None:
    (problem,) = check(assign(value=expr))
    assert (problem.code, problem.at, problem.hint) == ("text.or_value", "$.value", hint)


@pytest.mark.parametrize(
    "expr",
    [
        op("or", YES, op("not", A)),
        op("or", op("exists", A), lit(True), op("and", YES, YES)),
        op("or", op("and", A), lit(False)),
        op("and", op("and", record()), YES),
        op("or", call("string.contains", A, B), {"op": "in", "needle": A, "haystack": B}),
        op("or", op("default", A, lit(False)), op("if", A, YES, lit(True))),
        op("and", A, B),
        op("not", op("or", A, B)),
        op("if", op("or", A, op("and", B, lit(1))), lit(1), lit(2)),
        op("not", op("if", A, op("or", A, B), B)),
        each("x", op("or", path("@x.a"), A), "filter"),
        each("x", op("or", path("@x.a"), A), "any"),
        each("x", op("or", path("@x.a"), A), "every"),
    ],
)
def test_or_over_booleans_or_as_a_condition_is_fine(expr: Any) -> None:
    assert check(assign(value=expr)) == ()


@pytest.mark.parametrize(
    ("expr", "at"),
    [
        (op("eq", op("or", A, lit(0)), lit(1)), "$.cond.lhs"),
        (op("not", op("eq", op("or", A, B), B)), "$.cond.arg.lhs"),
        (op("if", A, op("or", A, B), B), None),
        (op("exists", op("or", A, B)), "$.cond.arg"),
        (each("x", op("or", path("@x.a"), A), "map"), "$.cond.body"),
    ],
)
def test_the_operands_of_a_condition_may_be_values(expr: Any, at: str | None) -> None:
    places = [p.at for p in check(branch(expr)) if p.code == "text.or_value"]
    assert places == ([at] if at else [])


def test_or_is_fine_where_a_loop_asks_for_truth() -> None:
    assert check(loop(cond=op("or", A, B))) == ()


def test_an_or_inside_an_or_is_told_once() -> None:
    inner = op("or", B, each("x", path("@x")))
    assert found(assign(value=op("or", A, inner))) == [("text.or_value", "$.value")]


def test_a_variable_is_not_spelled_as_a_place_of_the_context() -> None:
    (problem,) = check(assign(value=each("x", op("or", path("@x"), lit(None)))))
    assert problem.hint == "default(…, null)"


# conditions and reach


@pytest.mark.parametrize("cond", [lit(1), lit(None), lit("true"), op("len", A), record()])
def test_a_cond_that_never_is_a_boolean_is_told(cond: Any) -> None:
    assert found(branch(cond)) == [("cond.not_boolean", "$.cond")]
    assert "cond.not_boolean" not in [p.code for p in check(loop(cond=cond))]


@pytest.mark.parametrize(
    ("expr", "value"),
    [
        (lit(0), [0]),
        (op("not", lit(0)), [False]),
        (op("not", A), []),
        (op("or"), [False]),
        (op("and"), [True]),
        (op("or", lit(None), lit(3)), [True]),
        (op("or", lit(3), A), [True]),
        (op("or", A, lit(3)), []),
        (op("and", lit(None), A), [False]),
        (op("and", lit(1), lit(2)), [True]),
        (op("eq", lit(1), lit(1)), []),
    ],
)
def test_constants_are_what_literals_decide(expr: Any, value: Any) -> None:
    assert constant(expr) == value


YES_ALWAYS, NO_NEVER = lit(True), op("and", lit(False), A)


@pytest.mark.parametrize(
    ("document", "at"),
    [
        (seq(FAIL, step(), step()), "$.children[1]"),
        (seq(seq(UNKNOWN, FAIL), step()), "$.children[1]"),
        (seq(branch(YES, FAIL, **{"else": FAIL}), step()), "$.children[1]"),
        (seq(loop(body=FAIL), step()), "$.children[1]"),
        (seq(attempt(body=FAIL, catch=FAIL), step()), "$.children[1]"),
        (seq(attempt(body=step(), **{"finally": FAIL}), step()), "$.children[1]"),
        (branch(NO_NEVER, step()), "$.then"),
        (branch(YES_ALWAYS, step(), **{"else": step()}), "$.else"),
        (loop(max=0), "$.body"),
        (loop(cond=lit(None)), "$.body"),
        (fanout(items=lit([])), "$.body"),
        (attempt(catch=step()), "$.catch"),
        (attempt(body=seq(seq(), branch(YES_ALWAYS)), catch=step()), "$.catch"),
        (attempt(body=attempt(body=seq(), **{"finally": seq()})), "$.body.catch"),
    ],
)
def test_a_node_that_no_run_arrives_at_is_told(document: Any, at: str) -> None:
    assert at in [p.at for p in check(document) if p.code == "node.unreachable"]


@pytest.mark.parametrize(
    "document",
    [
        seq(step(), FAIL),
        seq(attempt(body=FAIL, catch=step()), step()),
        seq(attempt(body=step(), catch=FAIL), step()),
        seq(branch(YES, FAIL), step()),
        seq(branch(YES, step(), **{"else": FAIL}), step()),
        seq(loop(cond=YES, body=FAIL), step()),
        seq(fanout(items=A, body=FAIL), step()),
        branch(YES, step(), **{"else": step()}),
        loop(cond=lit(0)),
        attempt(body=step()),
        attempt(body=branch(YES)),
        attempt(body=attempt(body=step(), catch=seq()), catch=seq()),
        attempt(body=seq(seq(), step())),
        attempt(body=loop(cond=A, body=seq())),
        {"kind": "try", "body": EMPTY, "catch": EMPTY | {"implicit": True}},
    ],
)
def test_what_a_run_may_arrive_at_is_not_told(document: Any) -> None:
    assert "node.unreachable" not in [p.code for p in check(document)]


def test_a_catch_is_reached_where_the_branch_taken_can_fail() -> None:
    body = branch(NO_NEVER, seq(), **{"else": step()})
    assert found(attempt(body=body, catch=step())) == [("node.unreachable", "$.body.then")]
    body = branch(NO_NEVER, step(), **{"else": seq()})
    assert ("node.unreachable", "$.catch") in found(attempt(body=body, catch=step()))
    body = branch(NO_NEVER, step())
    assert ("node.unreachable", "$.catch") in found(attempt(body=body, catch=step()))


def test_a_branch_whose_other_side_is_never_taken_fails_for_sure() -> None:
    places = [at for _, at in found(seq(branch(YES_ALWAYS, FAIL), step()))]
    assert places == ["$.children[1]"]
    document = seq(branch(NO_NEVER, step(), **{"else": FAIL}), step())
    assert [at for _, at in found(document)] == ["$.children[0].then", "$.children[1]"]


# reads that find nothing


def test_a_read_below_an_object_that_lacks_the_member_is_told_with_a_near_miss() -> None:
    (problem,) = check(seq(assign("$.draft", record(title=lit("x"))), read("$.draft.titel")))
    assert str(problem) == (
        "$.children[1].value: expected a path that something can have written, "
        "got '$.draft.titel' — did you mean 'title'?"
    )


@pytest.mark.parametrize(
    ("value", "reads"),
    [
        (lit({"a": {"b": 1}}), ["$.v", "$.v.a", "$.v.a.b"]),
        (record(a=path("$.given"), b=lit([])), ["$.v.a.any", "$.v.b[0].any", "$.v.b"]),
        (op("default", A, lit(False)), ["$.v.any"]),
        (op("if", A, lit(1), lit({})), ["$.v.any"]),
        (call("object.merge", A, A), ["$.v.any"]),
        ({"op": "get", "of": A, "key": lit("k")}, ["$.v.any"]),
        (each("x", lit(1)), ["$.v[0].any"]),
    ],
)
def test_what_a_value_may_hold_can_be_read(value: Any, reads: list[str]) -> None:
    assert unwritten(assign("$.v", value), *map(read, reads)) == []


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (lit({"a": {"b": 1}}), "$.v.a.c"),
        (lit({"a": {"b": 1}}), "$.v.a[0]"),
        (lit(1), "$.v.a"),
        (op("add", A, A), "$.v.a"),
        (op("eq", A, A), "$.v[0]"),
        (record(a=op("len", A)), "$.v.a.b"),
    ],
)
def test_what_a_value_can_not_hold_is_told(value: Any, at: str) -> None:
    assert unwritten(assign("$.v", value), read(at)) == ["$.children[1].value"]


def test_a_write_makes_what_is_above_it_and_below_it_readable() -> None:
    assert unwritten(step(out="$.a.b"), read("$.a"), read("$.a.b.c[0]")) == []
    assert unwritten(step(out="$.a.b"), read("$.a.c")) == ["$.children[1].value"]
    assert unwritten(assign("$.a.b", lit(1)), step(out="$.a[0]"), read("$.a.c")) == []
    assert unwritten(step(out="$"), assign("$.x", lit(1)), read("$.x.y"), read("$.any")) == []
    assert unwritten(assign("$", lit({"x": 1})), read("$.x"), read("$.x.y")) == [
        "$.children[2].value"
    ]


def test_the_whole_context_can_always_be_read() -> None:
    assert unwritten(read("$"), inputs={}) == []


def test_what_is_read_before_it_is_written_may_come_from_the_first_context() -> None:
    count = assign("$.n", op("add", path("$.n"), lit(1)))
    assert unwritten(count, read("$.n"), read("$.n.deep")) == []
    assert unwritten(count, inputs={}) == ["$.children[0].value.lhs"]
    assert unwritten(read("$[0].a"), inputs=None) == []


def test_a_list_whose_item_is_written_may_come_from_the_first_context() -> None:
    body = seq(assign("$.l[0]"), step())
    assert unwritten(attempt(body=body, catch=read("$.l"))) == []
    own = seq(assign("$.l", value=lit([1])), assign("$.l[0]"), step())
    assert unwritten(attempt(body=own, catch=read("$.l"))) == ["$.children[0].catch.value"]


def test_a_side_of_a_branch_does_not_see_the_other() -> None:
    sides = branch(YES, step(out="$.x"), **{"else": read("$.x")})
    assert unwritten(sides, inputs={"properties": {"a": {}}}) == ["$.children[0].else.value"]
    assert unwritten(branch(YES, step(out="$.x")), read("$.x")) == []
    assert unwritten(branch(YES, EMPTY, **{"else": step(out="$.x")}), read("$.x")) == []


def test_a_lane_sees_its_item_and_its_writes_reach_nobody() -> None:
    lane = fanout(
        items=path("$.files"),
        bind="$.file",
        index="$.i",
        limit=path("$.limit"),
        body=seq(read("$.file.name"), read("$.i"), step(out="$.report")),
        collect=path("$.report"),
        out="$.reports",
    )
    assert unwritten(lane, read("$.reports[0]")) == []
    after = [read("$.report"), read("$.file"), read("$.i")]
    assert unwritten(lane, *after) == [f"$.children[{i}].value" for i in (1, 2, 3)]
    assert unwritten(read("$.file"), lane, *after) == [
        "$.children[2].value",
        "$.children[4].value",
    ]


def test_a_loop_sees_what_its_last_iteration_wrote() -> None:
    body = seq(branch(op("gt", path("$.i"), lit(0)), read("$.verdict")), step(out="$.verdict"))
    assert unwritten(loop(body=body), read("$.verdict"), read("$.i"), inputs={}) == []
    until = loop(cond=op("ne", path("$.late"), lit(1)), body=step(out="$.late"))
    assert unwritten(until, inputs={}) == []
    assert unwritten(loop(exhausted_at="$.e"), read("$.e"), read("$.e.x")) == [
        "$.children[2].value"
    ]


def test_a_loop_inside_a_loop_sees_the_outer_one_s_last_iteration() -> None:
    inner = loop(counter="$.j", cond=lit(True), body=read("$.late"))
    assert unwritten(loop(body=seq(inner, step(out="$.late"))), inputs={}) == []


def test_a_loop_inside_a_lane_sees_its_own_last_iteration() -> None:
    inner = loop(counter="$.j", body=seq(read("$.late"), step(out="$.late")))
    outer = loop(body=fanout(items=lit([1]), body=inner))
    assert unwritten(outer, inputs={}) == []
    assert unwritten(outer, read("$.late"), inputs={}) == ["$.children[1].value"]


def test_a_catch_begins_where_the_body_began() -> None:
    body = seq(step(out="$.x"), step())
    assert unwritten(attempt(body=body, catch=read("$.x"))) == ["$.children[0].catch.value"]
    assert unwritten(attempt(body=body, catch=read("$.x"), restore=False)) == []
    handled = attempt(body=body, catch=step(out="$.y"), **{"finally": read("$.x")})
    assert unwritten(handled, read("$.x"), read("$.y")) == []


def test_a_catch_sees_the_error() -> None:
    catch = seq(read("$.message"), read("$.error.cause_code"), read("$.error.data.x"))
    tried = attempt(body=step(), err_at="$.message", error_at="$.error", catch=catch)
    assert unwritten(tried, inputs={}) == []
    wrong = attempt(body=step(), error_at="$.error", catch=read("$.error.mesage"))
    assert unwritten(wrong, inputs={}) == ["$.children[0].catch.value"]


def test_a_read_whose_failure_is_caught_by_name_is_expected() -> None:
    assert unwritten(attempt(body=read("$.x"), on=["path.*"]), inputs={}) == []
    assert unwritten(attempt(body=read("$.x"), on=["step.failed"]), inputs={}) == [
        "$.children[0].body.value"
    ]


OPTIONAL = path("$.opt.deep")
GUARD = op("exists", path("$.opt"))


@pytest.mark.parametrize(
    "expr",
    [
        op("exists", OPTIONAL),
        op("default", op("len", OPTIONAL), lit(0)),
        op("and", GUARD, op("eq", OPTIONAL, lit(1))),
        op("or", op("not", GUARD), op("eq", OPTIONAL, lit(1))),
        op("if", GUARD, OPTIONAL, lit(0)),
        op("if", op("not", GUARD), lit(0), OPTIONAL),
        op("if", op("and", lit(True), GUARD), OPTIONAL, lit(0)),
        op("if", op("or", op("not", GUARD), lit(False)), lit(0), OPTIONAL),
        each("x", path("@x.deep")),
    ],
)
def test_a_guarded_read_is_never_told(expr: Any) -> None:
    assert unwritten(assign(value=expr), inputs={}) == []


@pytest.mark.parametrize(
    ("expr", "at"),
    [
        (op("default", lit(1), OPTIONAL), ".fallback"),
        (op("or", GUARD, op("eq", OPTIONAL, lit(1))), ".args[1].lhs"),
        (op("if", GUARD, lit(1), OPTIONAL), ".else"),
        (op("if", op("exists", lit(1)), OPTIONAL, lit(1)), ".then"),
        (op("if", op("or", GUARD, YES_ALWAYS), OPTIONAL, lit(1)), ".then"),
        (record(**{"a b": OPTIONAL}), '.fields["a b"]'),
        (call("string.upper", OPTIONAL), ".args[0]"),
        ({"op": "fail", "code": "x", "message": OPTIONAL}, ".message"),
        (each("x", op("if", op("exists", path("@x")), OPTIONAL, lit(1))), ".body.then"),
    ],
)
def test_a_read_that_no_guard_covers_is_told(expr: Any, at: str) -> None:
    assert unwritten(assign(value=expr), inputs={}) == [f"$.children[0].value{at}"]


def test_the_condition_of_a_node_guards_what_it_chooses() -> None:
    guarded = branch(GUARD, read("$.opt.deep"), **{"else": read("$.opt.deep")})
    assert unwritten(guarded, read("$.opt"), inputs={}) == [
        "$.children[0].else.value",
        "$.children[1].value",
    ]
    assert unwritten(loop(cond=GUARD, body=read("$.opt.deep")), inputs={}) == []


CLOSED: Any = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "additionalProperties": False,
}


INPUTS: list[tuple[Any, str, bool]] = [
    ({}, "$.a", False),
    ({"properties": {"topic": {}}}, "$.topic.any", True),
    ({"properties": {"topic": {}}}, "$.tpoic", False),
    ({"properties": {"topic": {}}, "additionalProperties": True}, "$.any", True),
    ({"properties": {"topic": {}}, "additionalProperties": False}, "$.any", False),
    ({"allOf": [{}]}, "$.any", True),
    ({"properties": {"o": CLOSED}}, "$.o.n", True),
    ({"properties": {"o": CLOSED}}, "$.o.m", False),
    ({"properties": {"o": CLOSED}}, "$.o.n.deep", False),
    ({"properties": {"o": CLOSED | {"additionalProperties": {}}}}, "$.o.m", True),
    ({"properties": {"o": {"properties": {"n": {}}}}}, "$.o.m", True),
    ({"properties": {"s": {"type": "string"}}}, "$.s.any", False),
    ({"properties": {"s": {"type": ["string", "null"]}}}, "$.s.any", False),
    ({"properties": {"s": {"type": ["string", "array"]}}}, "$.s[0].any", True),
    ({"properties": {"s": True}}, "$.s.any", True),
    ({"properties": {"s": {"properties": 1}}}, "$.s.any", True),
]


@pytest.mark.parametrize(("inputs", "at", "fine"), INPUTS)
def test_the_schema_of_the_first_context_says_what_it_gives(
    inputs: Any, at: str, fine: bool
) -> None:
    assert unwritten(read(at), inputs=inputs) == ([] if fine else ["$.children[0].value"])


def test_the_deepest_flow_is_checked() -> None:
    document = nested(127, seq(assign(value=negated(64)), read("$.x.y")))
    assert len(check(document)) == 1


def test_many_branches_and_loops_are_checked_in_one_pass() -> None:
    node = step(out="$.x")
    for i in range(60):
        node = loop(cond=A, body=branch(A, node)) if i % 2 else fanout(items=A, body=node)
    assert check(node) == ()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_every_problem_has_a_place_in_the_document(document: Any) -> None:
    flow = load(document)
    problems = check(document, inputs={}, refs=())
    assert {(p.code, p.at) for p in problems} == {
        (p.code, p.at) for p in check(flow, inputs={}, refs=())
    }
    assert all(p.at.startswith("$") and p.message for p in problems)


def test_a_member_written_in_one_side_may_be_the_first_contexts_in_the_other() -> None:
    flow = {
        "kind": "branch",
        "cond": {"op": "path", "at": "$.fresh"},
        "then": {"kind": "assign", "at": "$.tone", "value": {"op": "lit", "value": "plain"}},
        "else": {"kind": "assign", "at": "$.said", "value": {"op": "path", "at": "$.tone"}},
    }
    assert check(flow) == ()
    assert [p.code for p in check(flow, inputs={"properties": {"fresh": {}}})] == ["path.unwritten"]
