"""Expressions: the generated functions are judged by an evaluator that walks the tree."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flowir
from flowir.errors import FlowError
from flowir.exprs import UNKNOWN, Batch, Meter, Reach, cost_of, evaluate_compiled, reach_of
from flowir.externs import STANDARD_EXTERNS
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN, Limits
from flowir.text import parse_expr
from flowir.values import measure
from flowir.wire import load_expr
from tests.flowir.strategies import exprs, json_values
from tests.flowir.walker import Walker
from tests.flowir.written import call, lit, path

JSON = Any


def two(op: str, lhs: JSON, rhs: JSON) -> JSON:
    return {"op": op, "lhs": lhs, "rhs": rhs}


def over(op: str, items: JSON, bind: str, body: JSON) -> JSON:
    return {"op": op, "over": items, "bind": bind, "body": body}


def chosen(cond: JSON, then: JSON, other: JSON) -> JSON:
    return {"op": "if", "cond": cond, "then": then, "else": other}


def value_of(expr: JSON, ctx: JSON = None) -> JSON:
    return evaluate_compiled(load_expr(expr), ctx, STANDARD_EXTERNS)


def code_of(expr: JSON, ctx: JSON = None) -> str:
    with pytest.raises(FlowError) as caught:
        value_of(expr, ctx)
    return caught.value.code


# --- the judge -----------------------------------------------------------------------


def _told(evaluate: Callable[[], JSON]) -> str:
    try:
        return json.dumps(evaluate(), sort_keys=True)
    except FlowError as error:
        return f"{error.code} {json.dumps(error.data, sort_keys=True)}"


def _judge(expr: JSON, ctx: JSON) -> str:
    """Evaluate both ways, and return what both came to."""
    batch = Batch()
    batch.add(expr)
    function = batch.compile()(expr)
    meter = Meter(STANDARD_EXTERNS, DEFAULT_LIMITS)
    meter.fuel -= cost_of(expr)
    before = json.dumps(ctx)
    found = _told(lambda: function(ctx, meter))
    walker = Walker(ctx)
    expected = _told(lambda: walker.value(expr))
    assert found == expected, expr
    assert DEFAULT_LIMITS.fuel - meter.fuel == walker.paid, expr
    assert json.dumps(ctx) == before
    return found


class _Maker:
    """Random expressions that mostly have a value, nested deep, full of variables."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - drawn again from its seed

    def expr(self, depth: int, bound: tuple[str, ...]) -> JSON:
        pick = self.random.random()
        if depth == 0 or pick < 0.1:
            return self.leaf(bound)
        if pick < 0.35:
            bind = self.random.choice(("r", "s", "r_index"))
            body = self.expr(depth - 1, (*bound, bind, f"{bind}_index"))
            op = self.random.choice(("map", "map", "filter", "any", "every"))
            return over(op, path(self.random.choice(("$.l", "$.m", "$.o.l"))), bind, body)
        return self.compound(depth - 1, bound)

    def leaf(self, bound: tuple[str, ...]) -> JSON:
        leaves = [lit(self.random.choice((0, 3, -2, 2.5, "s", None, True, [1], {"k": "v"})))]
        leaves += [path(p) for p in ("$.n", "$.s", "$.l[0]", "$.l[-1]", "$.o.k", "$.z", "$.n.x")]
        leaves += [path(f"@{name}") for name in bound] * 3
        return self.random.choice(leaves)

    def compound(self, depth: int, bound: tuple[str, ...]) -> JSON:
        def inner() -> JSON:
            return self.expr(depth, bound)

        number = {"op": "len", "arg": path(self.random.choice(("$.s", "$.l", "$.o")))}
        return self.random.choice(
            [
                lambda: two(self.random.choice(("eq", "ne")), inner(), inner()),
                lambda: two(self.random.choice(("lt", "lte", "gt", "gte")), number, lit(2)),
                lambda: two(self.random.choice(("lt", "gte")), lit("m"), inner()),
                lambda: two(self.random.choice(("add", "sub")), inner(), lit(7)),
                lambda: two(self.random.choice(("add", "mul", "div", "mod")), number, inner()),
                lambda: two("idiv", inner(), number),
                lambda: {"op": "not", "arg": inner()},
                lambda: {"op": self.random.choice(("and", "or")), "args": [inner(), inner()]},
                lambda: {"op": "exists", "arg": inner()},
                lambda: {"op": "default", "arg": inner(), "fallback": inner()},
                lambda: {"op": "default", "arg": path("$.z"), "fallback": inner()},
                lambda: chosen(inner(), inner(), inner()),
                lambda: {"op": "array", "items": [inner(), inner()]},
                lambda: {"op": "object", "fields": {"k": inner(), "b c": inner()}},
                lambda: {"op": "get", "of": path("$.l"), "key": inner()},
                lambda: {"op": "get", "of": path("$.o"), "key": lit("k")},
                lambda: {"op": "in", "needle": inner(), "haystack": path("$.l")},
                lambda: {"op": "in", "needle": number, "haystack": lit([1, 2, 3])},
                lambda: {"op": "concat", "args": [lit("a"), number, inner()]},
                lambda: call("json.encode", inner()),
                lambda: call("list.concat", path("$.l"), {"op": "array", "items": [inner()]}),
                lambda: {"op": "fail", "code": "x.y", "message": lit("no"), "data": inner()},
            ]
        )()


CONTEXT: JSON = {
    "n": 5,
    "s": "word",
    "l": [1, "two", 3.0, None],
    "m": [{"k": 1}, {"k": 2}],
    "o": {"k": 2, "l": [5, [6]]},
}


def test_random_expressions_mean_what_the_tree_says() -> None:
    outcomes = [_judge(_Maker(seed).expr(seed % 7 + 1, ()), CONTEXT) for seed in range(4_000)]
    failed = sum(outcome.partition(" ")[0].count(".") > 0 for outcome in outcomes)
    assert 400 < failed < 3_400


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exprs(depth=3), json_values)
def test_any_expression_on_any_context_means_what_the_tree_says(expr: JSON, ctx: JSON) -> None:
    _judge(expr, ctx)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(("eq", "ne", "lt", "lte", "gt", "gte", "add", "sub")), json_values)
def test_a_literal_on_either_side_means_what_a_path_there_does(op: str, value: JSON) -> None:
    for other in (0, -1, 2.5, INT_MAX, INT_MIN, "", "s", None, True, [1], {}):
        ctx = {"value": value, "other": other}
        plain = two(op, path("$.value"), path("$.other"))
        expected = _judge(plain, ctx)
        assert _judge({**plain, "rhs": lit(other)}, ctx) == expected
        assert _judge({**plain, "lhs": lit(value)}, ctx) == expected
        assert _judge({**plain, "lhs": lit(value), "rhs": lit(other)}, ctx) == expected


def test_variables_are_seen_through_every_depth_of_blocks() -> None:
    """What nests deeper than Python's blocks is a function of its own, with parameters."""
    for depth in range(50):
        inner = two("add", path("@r"), path("@r_index"))
        body: JSON = {"op": "array", "items": [two("mul", lit(2), lit(3)), inner, path("@r")]}
        for level in range(depth):
            pair: JSON = [chosen(lit(True), body, lit(0)), {"op": "default", "arg": body}]
            body = {**pair[level % 2]} if level % 2 == 0 else {**pair[1], "fallback": path("@r")}
        assert value_of(over("map", lit([5, 7]), "r", body)) == [[6, 5, 5], [6, 8, 7]]


def test_quantifiers_nest_sixty_deep() -> None:
    expr: JSON = {"op": "array", "items": [path(f"@v{n}") for n in range(60)]}
    for n in range(60):
        expr = over("map", lit([n]), f"v{n}", expr)
    found = value_of(expr)
    for _ in range(60):
        (found,) = found
    assert found == list(range(60))


def test_an_inner_variable_hides_an_outer_one_of_its_name() -> None:
    inner = over("map", path("@r"), "r", two("mul", path("@r"), lit(10)))
    pair = {"op": "array", "items": [inner, path("@r")]}
    assert value_of(over("map", lit([[1], [2]]), "r", pair)) == [[[10], [1]], [[20], [2]]]


def test_no_text_of_an_author_is_code() -> None:
    hostile = "\"]; raise SystemExit #'\\\n\u2028\x00{0}"
    fields = {"op": "object", "fields": {hostile: lit(hostile)}}
    assert value_of(fields) == {hostile: hostile}
    assert value_of(path(f"$[{json.dumps(hostile)}]"), {hostile: 1}) == 1
    assert value_of(two("eq", path("$"), lit(hostile)), hostile) is True
    fail = {"op": "fail", "code": hostile, "message": lit(hostile)}
    assert code_of(fail) == hostile
    assert code_of(call(hostile)) == "extern.unknown"


# --- what literals are ---------------------------------------------------------------


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1e308, INT_MIN, INT_MAX, -1, 1e22, "\ud7ff"])
def test_a_literal_is_itself(value: JSON) -> None:
    assert json.dumps(value_of(lit(value))) == json.dumps(value)
    assert json.dumps(value_of({"op": "array", "items": [lit(value)]})) == json.dumps([value])


def test_a_literal_is_new_each_time() -> None:
    expr = lit({"l": []})
    value_of(expr)["l"].append(1)
    assert value_of(expr) == {"l": []}


def test_equal_expressions_share_one_function() -> None:
    batch = Batch()
    first, second, third = lit([1]), lit([1]), lit([1.0])
    for expr in (first, second, third, first):
        batch.add(expr)
    function = batch.compile()
    assert function(first) is function(second)
    assert function(first) is not function(third)


# --- fuel ----------------------------------------------------------------------------


def test_the_cost_is_the_number_of_ops_without_the_bodies_of_quantifiers() -> None:
    body = two("add", path("@r"), lit(1))
    assert cost_of(lit(1)) == 1
    assert cost_of(body) == 3
    assert cost_of(over("map", path("$.l"), "r", body)) == 2
    assert cost_of({"op": "and", "args": [lit(False), body]}) == 5


def test_an_evaluation_that_costs_more_than_there_is_fails() -> None:
    expr = over("map", lit([1] * 9), "r", path("@r"))
    evaluate_compiled(expr, None, STANDARD_EXTERNS, Limits(fuel=11))
    with pytest.raises(FlowError) as caught:
        evaluate_compiled(expr, None, STANDARD_EXTERNS, Limits(fuel=10))
    assert caught.value.code == "fuel.exhausted"


# --- how large a value can be --------------------------------------------------------


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exprs(depth=3), json_values)
def test_a_value_is_never_larger_than_its_reach(expr: JSON, ctx: JSON) -> None:
    reach = reach_of(expr)
    if reach.reads is None:
        return
    try:
        value = evaluate_compiled(expr, ctx, STANDARD_EXTERNS)
    except FlowError:
        return
    (size, depth), (whole, levels) = measure(value), measure(ctx)
    assert size <= reach.reads * whole + max(reach.own, 8)
    assert depth <= levels + reach.levels


def test_what_only_measuring_tells_has_no_reach() -> None:
    assert reach_of(call("list.range", lit(0), lit(9))) == UNKNOWN


# --- one expression alone ------------------------------------------------------------


def test_evaluate_takes_text_and_wire() -> None:
    assert flowir.evaluate("ctx.a + 1", {"a": 1}) == 2
    assert flowir.evaluate(two("add", path("ctx.a"), lit(1)), {"a": 1}) == 2


def test_evaluate_asks_the_hosts_externs() -> None:
    def tax_of(net: int) -> int:
        return net // 5

    externs: dict[str, Callable[..., Any]] = {"tax.of": tax_of}
    assert flowir.evaluate("tax.of(ctx.n)", {"n": 10}, externs=externs) == 2


def test_evaluate_gives_nothing_of_the_callers_away() -> None:
    ctx = {"l": [1]}
    flowir.evaluate("ctx.l", ctx).append(2)
    assert ctx == {"l": [1]}


@pytest.mark.parametrize(
    ("text", "reads", "own", "levels"),
    [
        ("ctx.a", 1, 0, 0),
        ("ctx", 1, 0, 0),
        ("ctx.a == 1", 0, 8, 0),
        ("not ctx.a", 0, 8, 0),
        ("ctx.a + 1", 0, 8, 0),
        ("#ctx.a", 0, 8, 0),
        ("array{}", 0, 2, 1),
        ("object{}", 0, 2, 1),
        ("{ ctx.a, ctx.b }", 2, 2 + 1 + 1, 1),
        ("{ ab = ctx.a }", 1, 2 + 5 + 1, 1),
        ("{ ab = ctx.a, c = #ctx.b }", 1, 2 + 5 + 4 + 1 + 9, 1),
        ("{ { ctx.a } }", 1, 2 + 1 + 3, 2),
        ("default(ctx.a, #ctx.b)", 1, 2 + 1 + 9, 0),
        ("iif(ctx.a, { ctx.b }, ctx.c)", 3, 2 + 1 + 4 + 1, 1),
        ("get(ctx.a, ctx.b)", 2, 2 + 1 + 1, 0),
        ("ctx.a .. 'b'", None, 0, 0),
        ("list.range(0, 9)", None, 0, 0),
        ("{ ctx.a .. 'b' }", None, 2 + 1, 1),
        ("{ ctx.a, { ctx.b .. 'c' } }", None, 2 + 1 + 1 + 3, 2),
    ],
)
def test_how_large_a_value_can_be_is_read_off_its_expression(
    text: str, reads: int | None, own: int, levels: int
) -> None:
    assert reach_of(parse_expr(text)) == Reach(reads, own, levels)


def test_what_is_bound_is_known_by_measuring_alone() -> None:
    assert reach_of({"op": "path", "at": "@x.a"}) == Reach(None, 0, 0) == UNKNOWN


CTX: dict[str, Any] = {
    "n": 5, "z": 0, "f": 2.5, "s": "ab", "e": "", "t": True, "u": False, "nul": None,
    "l": [1, [2], {"k": 3}], "o": {"k": 1, "nul": None}, "big": 2**62, "max": INT_MAX,
}  # fmt: skip
VALUES: list[tuple[str, Any]] = [
    # truth: only null and false are not
    ("not ctx.n", False), ("not ctx.z", False), ("not ctx.e", False), ("not ctx.u", True),
    ("not ctx.nul", True), ("not ctx.l", False), ("not not ctx.s", True), ("not true", False),
    ("not nil", True), ("not (ctx.n == 5)", False), ("not (ctx.t and ctx.u)", True),
    ("ctx.n and ctx.s", True), ("ctx.nul and ctx.s", False), ("ctx.u or ctx.nul", False),
    ("ctx.z or ctx.u", True), ("1 and ctx.n", True), ("nil or ctx.u", False),
    ("iif(ctx.z, 1, 2)", 1), ("iif(ctx.nul, 1, 2)", 2), ("iif(ctx.u == false, 1, 2)", 1),
    ("iif(ctx.u, 1, ctx.s)", "ab"), ("iif(true, ctx.n, 2)", 5),
    # equality, with literals on either side or both
    ("ctx.n == 5", True), ("5 == ctx.n", True), ("ctx.n == 5.0", True), ("ctx.n ~= 5", False),
    ("ctx.n ~= 6", True), ("6 ~= ctx.n", True), ("ctx.t == 1", False), ("1 == ctx.t", False),
    ("ctx.t == true", True), ("true == ctx.n", False), ("ctx.nul == nil", True),
    ("nil == ctx.n", False), ("ctx.nul ~= nil", False), ("ctx.s == 'ab'", True),
    ("'ac' == ctx.s", False), ("1 == 1.0", True), ("nil == nil", True), ("1 == true", False),
    ("'a' ~= 'b'", True), ("ctx.l == ctx.l", True), ("ctx.l == lit{ 1 }", False),
    ("ctx.o == lit{ k = 1, nul = nil }", True), ("lit{ 1, 2 } == lit{ 1, 2.0 }", True),
    # order
    ("ctx.n < 6", True), ("ctx.n < 5", False), ("ctx.n <= 5", True), ("ctx.n > 4", True),
    ("5 > ctx.n", False), ("5 >= ctx.n", True), ("4 < ctx.n", True), ("ctx.f < 3", True),
    ("2.5 <= ctx.f", True), ("ctx.s < 'b'", True), ("'b' < ctx.s", False), ("1 < 2", True),
    ("ctx.max < 9.3e18", True),
    # sums
    ("ctx.n + 1", 6), ("ctx.n - 1", 4), ("1 + ctx.n", 6), ("1 - ctx.n", -4), ("ctx.f + 1", 3.5),
    ("ctx.n + 1.5", 6.5), ("ctx.n - ctx.f", 2.5), ("ctx.big + 1", 2**62 + 1),
    ("ctx.big - 1", 2**62 - 1), ("ctx.max - 1", INT_MAX - 1), ("ctx.max + -1", INT_MAX - 1),
    ("0 - ctx.max", -INT_MAX), ("ctx.n * 2", 10), ("ctx.n / 2", 2.5), ("ctx.n // 2", 2),
    ("ctx.n % 3", 2), ("-ctx.n % 3", 1), ("ctx.f // 2", 1.0), ("-ctx.f", -2.5),
    # parts
    ("ctx.l[0]", 1), ("ctx.l[1][0]", 2), ("ctx.l[-1].k", 3), ("get(ctx.l, ctx.z)", 1),
    ("get(ctx.o, 'k')", 1), ("ctx[ctx.s .. '']", None), ("#ctx.l", 3), ("#ctx.s", 2),
    ("#ctx.o", 2), ("default(ctx.none, 7)", 7), ("default(ctx.nul, 7)", 7),
    ("default(ctx.u, 7)", False), ("default(ctx.l[9], 7)", 7), ("exists(ctx.nul)", False),
    ("exists(ctx.none)", False), ("exists(ctx.l[2].k)", True), ("exists(ctx.l[3])", False),
    ("contains(ctx.l, 1)", True), ("contains(ctx.l, 9)", False), ("ctx.s .. ctx.n", "ab5"),
    ("{ ctx.n, { a = ctx.s } }", [5, {"a": "ab"}]), ("lit{ a = { 1 } }", {"a": [1]}),
    # quantifiers
    ("map(lit{ 1, 2 }, function(x, i) return x + i end)", [1, 3]),
    ("filter(lit{ 1, 2, 3 }, function(x) return x ~= 2 end)", [1, 3]),
    ("filter(lit{ 0, nil, false }, function(x) return x end)", [0]),
    ("any(lit{ 1, 2 }, function(x) return x == 2 end)", True),
    ("any(lit{ nil, false }, function(x) return x end)", False),
    ("every(lit{ 1, 0 }, function(x) return x end)", True),
    ("every(lit{ 1, nil }, function(x) return x end)", False),
    ("any(array{}, function(x) return x end)", False),
    ("every(array{}, function(x) return x end)", True),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_an_expression_means_this(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(FlowError) as caught:
            flowir.evaluate(parse_expr(text), CTX)
        assert caught.value.code == "path.missing"
        return
    found = flowir.evaluate(parse_expr(text), CTX)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ctx.max + 1", "arith.overflow"),
        ("ctx.big + ctx.big", "arith.overflow"),
        ("ctx.big + 4611686018427387904", "arith.overflow"),
        ("0 - ctx.max - 2", "arith.overflow"),
        ("ctx.s + 1", "type.mismatch"),
        ("ctx.t + 1", "type.mismatch"),
        ("ctx.t < 1", "type.mismatch"),
        ("1 < ctx.s", "type.mismatch"),
        ("ctx.s < 1.5", "type.mismatch"),
        ("ctx.none", "path.missing"),
        ("ctx.l[3]", "path.missing"),
        ("#ctx.n", "type.mismatch"),
        ("map(ctx.n, function(x) return x end)", "type.mismatch"),
    ],
)
def test_an_expression_that_has_no_value_says_why(text: str, code: str) -> None:
    with pytest.raises(FlowError) as caught:
        flowir.evaluate(parse_expr(text), CTX)
    assert caught.value.code == code
