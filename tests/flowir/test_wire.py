from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flowir.errors import Malformed
from flowir.limits import Limits
from flowir.nodes import (
    JOINS,
    NODE_FIELDS,
    OP_FIELDS,
    Assign,
    Fanout,
    Flow,
    Loop,
    Retry,
    Seq,
    Step,
    Try,
)
from flowir.path import Path
from flowir.report import Report, type_of
from flowir.wire import dump, load, load_expr, parse_document
from tests.flowir.strategies import documents, exprs, flows

EMPTY: dict[str, Any] = {"kind": "seq", "children": []}


def path(at: Any) -> dict[str, Any]:
    return {"op": "path", "at": at}


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def seq(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def step(**fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": "a", "in": lit(None)} | fields


def assign(at: Any = "$.x", value: Any = None) -> dict[str, Any]:
    return {"kind": "assign", "at": at, "value": lit(1) if value is None else value}


def loop(**fields: Any) -> dict[str, Any]:
    return {"kind": "loop", "counter": "$.i", "cond": lit(True), "body": EMPTY, "max": 3} | fields


def fanout(**fields: Any) -> dict[str, Any]:
    plain = {"kind": "fanout", "items": lit([]), "bind": "$.b", "body": EMPTY, "join": "all"}
    return plain | {"out": "$.o"} | fields


def attempt(**fields: Any) -> dict[str, Any]:
    return {"kind": "try", "body": EMPTY, "catch": EMPTY} | fields


def each(bind: Any, body: Any, op: str = "map") -> dict[str, Any]:
    return {"op": op, "over": lit([]), "bind": bind, "body": body}


def problems(document: Any, **options: Any) -> list[str]:
    with pytest.raises(Malformed) as caught:
        load(document, **options)
    return [str(problem) for problem in caught.value.problems]


def expr_problems(expr: Any, **options: Any) -> list[str]:
    with pytest.raises(Malformed) as caught:
        load_expr(expr, **options)
    return [str(problem) for problem in caught.value.problems]


# A document, and how its one problem begins.
MALFORMED: list[tuple[Any, str]] = [
    (None, "$: expected a node, an object with 'kind', got null"),
    (7, "$: expected a node, an object with 'kind', got 7"),
    ([EMPTY], "$: expected a node, an object with 'kind', got [{…}] — several nodes are"),
    ({}, "$: expected a node to have 'kind', got none"),
    ({"kind": "sep"}, "$.kind: expected one of 'step', 'seq', "),
    ({"kind": ["seq"]}, "$.kind: expected one of"),
    ({"kind": "x" * 100}, "$.kind: expected one of"),
    ({"kind": "seq"}, "$: expected seq to have 'children', got none"),
    (seq() | {"childs": []}, "$.childs: expected a field of seq, got 'childs' — did you mean"),
    (seq() | {"zzz": 1}, "$.zzz: expected a field of seq, got 'zzz' — it has children, id, impl"),
    (seq() | {"a b": 1}, '$["a b"]: expected a field of seq'),
    (seq() | {1: 2}, "$: expected string keys, got 1"),
    (seq() | {"": 2}, '$[""]: expected a field of seq'),
    (seq() | {"\ud800": 2}, '$["\\ud800"]: expected a field of seq'),
    (seq() | {"x" * 500: 2}, f'$["{"x" * 64}…"]: expected a field of seq, got '),
    (seq() | {"children": ()}, "$.children: expected a list of nodes, got a tuple"),
    (seq(seq("x")), "$.children[0].children[0]: expected a node"),
    (seq() | {"id": ""}, "$.id: expected an id, got '' — 1 to 63 letters"),
    (seq() | {"id": "a b"}, "$.id: expected an id"),
    (seq() | {"id": "a\n"}, "$.id: expected an id"),
    (seq() | {"id": "é"}, "$.id: expected an id"),
    (seq() | {"id": "x" * 64}, "$.id: expected an id"),
    (seq() | {"id": 1}, "$.id: expected an id, got 1"),
    (seq() | {"implicit": 1}, "$.implicit: expected true or false, got 1"),
    (seq(seq() | {"id": "a"}, step(id="a")), "$.children[1].id: expected an id that no other"),
    (step(ref=""), "$.ref: expected a name, a string that is not empty, got ''"),
    (step(ref=1), "$.ref: expected a name"),
    (step(ref="\ud800"), "$.ref: expected a name"),
    (step(**{"in": "ctx.a"}), "$.in: expected an expression, an object with 'op', got 'ctx.a' — a"),
    (step(out=1), "$.out: expected a path, a string, got 1"),
    (step(out="$."), "$.out: expected a path, got '$.': a name is missing at column 3"),
    (step(out="$.\ud800"), "$.out: expected a path, got "),
    (step(out="@x"), "$.out: expected a path to write to, in the context, got '@x'"),
    (step(out=path("@x.y")), "$.out.at: expected a path to write to, in the context"),
    (step(out=path("a.b")), "$.out.at: expected a path, got 'a.b'"),
    (step(out=lit("$.a")), "$.out: expected a path to write to, got {"),
    (step(out={"op": "path"}), "$.out: expected a path to write to"),
    (step(out=path("$.a") | {"x": 1}), "$.out: expected a path to write to"),
    (step(out=None), "$.out: expected a path, a string, got null"),
    (step(timeout_s=0), "$.timeout_s: expected a number of seconds above 0, got 0"),
    (step(timeout_s=True), "$.timeout_s: expected a number of seconds above 0, got true"),
    (step(timeout_s=float("inf")), "$.timeout_s: expected a number of seconds above 0, got inf"),
    (step(timeout_s=10**30), "$.timeout_s: expected a number of seconds above 0"),
    (step(timeout_s="1"), "$.timeout_s: expected a number of seconds above 0, got '1'"),
    (step(retry=3), "$.retry: expected a retry policy, an object, got 3 — write"),
    (step(retry={"max": 3}), "$.retry.max: expected a field of retry, got 'max'"),
    (step(retry={"max_attempts": 0}), "$.retry.max_attempts: expected an integer of 1 or more"),
    (step(retry={"max_attempts": 1.5}), "$.retry.max_attempts: expected an integer"),
    (step(retry={"max_attempts": True}), "$.retry.max_attempts: expected an integer"),
    (step(retry={"delay_s": -0.1}), "$.retry.delay_s: expected a number of seconds, 0 or more"),
    (step(retry={"factor": 0}), "$.retry.factor: expected a number above 0, got 0"),
    (step(retry={"max_delay_s": -1}), "$.retry.max_delay_s: expected a number of seconds, 0"),
    (step(retry={"jitter": 1.1}), "$.retry.jitter: expected a number from 0 to 1, got 1.1"),
    (step(retry={"on": "x"}), "$.retry.on: expected a list of error codes, got 'x' — write ['x']"),
    (step(retry={"on": ["a", ""]}), "$.retry.on[1]: expected a name"),
    (
        step(retry={"on": ["net*"]}),
        "$.retry.on[0]: expected a code, or 'prefix.*', got 'net*' — write 'net.*'",
    ),
    (step(retry={"on": ["*"]}), "$.retry.on[0]: expected a code, or 'prefix.*', got '*' — without"),
    (attempt(on=["*.reset"]), "$.on[0]: expected a code, or 'prefix.*', got '*.reset' — without"),
    (attempt(on=["a.*", "a.*.b"]), "$.on[1]: expected a code, or 'prefix.*', got 'a.*.b' — write"),
    (loop(max=-1), "$.max: expected an integer of 0 or more, got -1"),
    (loop(max=True), "$.max: expected an integer of 0 or more, got true"),
    (loop(max=3.0), "$.max: expected an integer of 0 or more, got 3.0"),
    (loop(max=10_000_001), "$.max: expected at most 10000000 iterations, got 10000001"),
    (fanout(join="first"), "$.join: expected one of 'all', 'any', 'race', 'all_settled', 'quorum'"),
    (fanout(join=["all"]), "$.join: expected one of"),
    (fanout(join="quorum"), "$: expected fanout to have 'quorum' with join 'quorum', got none"),
    (fanout(quorum=1), "$.quorum: expected no quorum with join 'all', got one"),
    (fanout(join="quorum", quorum=0), "$.quorum: expected an integer of 1 or more, or an"),
    (fanout(limit=0), "$.limit: expected an integer of 1 or more, or an expression for one"),
    (fanout(limit=True), "$.limit: expected an integer of 1 or more"),
    (fanout(limit={"op": "nope"}), "$.limit.op: expected an op, got 'nope'"),
    (attempt(on=[1]), "$.on[0]: expected a name"),
    (attempt(on={"code": "x"}), "$.on: expected a list of error codes"),
    (attempt(restore=None), "$.restore: expected true or false, got null"),
    (attempt(**{"finally": []}), "$.finally: expected a node"),
    (assign("ctxfoo"), "$.at: expected a path, got 'ctxfoo'"),
    (assign() | {"kind": "let", "of": 1}, "$.of: expected a field of assign, got 'of'"),
]


@pytest.mark.parametrize(("document", "begins"), MALFORMED, ids=lambda v: str(v)[:60])
def test_a_malformed_document_is_told_with_its_place(document: Any, begins: str) -> None:
    found = problems(document)
    assert len(found) == 1
    assert found[0].startswith(begins), found[0]


class Anything:
    """No value of JSON, and named alike in every process."""

    def __str__(self) -> str:
        return "anything"


MALFORMED_EXPRS: list[tuple[Any, str]] = [
    ("ctx.a", "$: expected an expression, an object with 'op', got 'ctx.a' — a path is"),
    (3, "$: expected an expression, an object with 'op', got 3 — a literal is"),
    (Anything(), "$: expected an expression, an object with 'op', got an Anything"),
    ({}, "$: expected an expression to have 'op', got none"),
    ({"op": "pth"}, "$.op: expected an op, got 'pth' — did you mean 'path'?"),
    ({"op": "zzzzzz"}, "$.op: expected an op, got 'zzzzzz' — ops: path, lit, eq"),
    ({"op": 1}, "$.op: expected an op, got 1 — ops: "),
    ({"op": "eq", "lhs": lit(1)}, "$: expected 'eq' to have 'rhs', got none"),
    (lit(1) | {"val": 2}, "$.val: expected a field of 'lit', got 'val' — did you mean 'value'?"),
    (lit(1) | {None: 2}, "$: expected string keys, got null"),
    (path(1), "$.at: expected a path, a string, got 1"),
    (path("$.a["), "$.at: expected a path, got '$.a['"),
    (path("@x"), "$.at: expected a bound variable, got '@x' — a quantifier binds"),
    (lit((1,)), "$.value: expected a JSON value, got a tuple"),
    (lit({"a": [float("nan")]}), "$.value.a[0]: expected a finite number, got nan"),
    (lit(1 << 64), "$.value: expected an integer of 64 bit"),
    (lit("\ud800"), "$.value: expected text, got a lone surrogate"),
    ({"op": "and", "args": lit(1)}, "$.args: expected a list of expressions, got {"),
    ({"op": "and", "args": [lit(1), 2]}, "$.args[1]: expected an expression"),
    ({"op": "object", "fields": []}, "$.fields: expected an object of expressions, got []"),
    ({"op": "object", "fields": {"a b": 1}}, '$.fields["a b"]: expected an expression'),
    ({"op": "object", "fields": {1: lit(1)}}, "$.fields: expected string keys, got 1"),
    ({"op": "object", "fields": {"\ud800": lit(1)}}, "$.fields: expected string keys, got "),
    ({"op": "call_extern", "ref": "", "args": []}, "$.ref: expected a name"),
    ({"op": "fail", "code": 1, "message": lit("")}, "$.code: expected a name"),
    (each("1x", lit(1)), "$.bind: expected a variable's name, got '1x' — letters"),
    (each(1, lit(1)), "$.bind: expected a variable's name, got 1"),
    (each("x", path("@y")), "$.body.at: expected a bound variable, got '@y'"),
    (each("row", path("@rwo")), "$.body.at: expected a bound variable, got '@rwo' — did you mean"),
    ({"op": "map", "over": path("@x"), "bind": "x", "body": lit(1)}, "$.over.at: expected a bound"),
]


@pytest.mark.parametrize(("expr", "begins"), MALFORMED_EXPRS, ids=lambda v: str(v)[:60])
def test_a_malformed_expression_is_told_with_its_place(expr: Any, begins: str) -> None:
    found = expr_problems(expr)
    assert len(found) == 1
    assert found[0].startswith(begins), found[0]


def test_every_problem_is_told_from_the_top_of_the_document_to_its_end() -> None:
    document = {
        "kind": "fanout",
        "out": 5,
        "body": {"kind": "step", "rf": 1, "in": {"op": "eq", "lhs": 1, "rhs": path("@x")}},
        "bind": "@x",
        "items": {"op": "object", "fields": {"b": 1, "a": 2}},
    }
    assert [line.split(": ")[0] for line in problems(document)] == [
        "$",
        "$.out",
        "$.body",
        "$.body.rf",
        "$.body.in.lhs",
        "$.body.in.rhs.at",
        "$.bind",
        "$.items.fields.b",
        "$.items.fields.a",
    ]


def test_the_same_malformed_path_is_told_at_each_place() -> None:
    assert len(problems(seq(assign("$."), assign("$.")))) == 2


def test_a_thousand_wrong_words_are_all_told_and_the_first_with_a_hint() -> None:
    found = problems(seq(*({"kind": "seq", "children": [], f"childre{i}": 1} for i in range(1000))))
    assert len(found) == 1000
    assert "did you mean 'children'?" in found[0]
    assert "did you mean" not in found[-1]


def test_the_problems_of_a_literal_deep_inside_are_sorted_too() -> None:
    deep: Any = float("nan")
    for i in range(40):
        deep = [deep] if i % 2 else {"a": deep}
    found = problems(seq(assign(value=lit(deep)), 1))
    assert found[0].startswith("$.children[0].value.value")
    assert found[1].startswith("$.children[1]")


@pytest.mark.parametrize("kind", NODE_FIELDS)
def test_each_required_field_of_a_node_is_asked_for(kind: str) -> None:
    required = [name for name, spec in NODE_FIELDS[kind].items() if spec.required]
    assert problems({"kind": kind}) == [
        f"$: expected {kind} to have {name!r}, got none" for name in required
    ]


@pytest.mark.parametrize("op", OP_FIELDS)
def test_each_required_field_of_an_op_is_asked_for(op: str) -> None:
    required = [name for name, spec in OP_FIELDS[op].items() if spec.required]
    assert expr_problems({"op": op}) == [
        f"$: expected '{op}' to have {name!r}, got none" for name in required
    ]


# flow.ir 0.2, 0.3, and the bare path that this language adds.
@pytest.mark.parametrize(
    "document",
    [
        {"kind": "assign", "at": path("$.x"), "value": lit(1)},
        {"kind": "let", "at": "ctx.x", "value": lit(1)},
        {"kind": "let", "at": path("ctx['x']"), "value": lit(1)},
        {"kind": "assign", "at": "$.x", "value": lit(1)},
    ],
)
def test_all_spellings_of_an_assignment_mean_the_same(document: Any) -> None:
    flow = load(document)
    assert flow.root == Assign(at=Path(("x",)), value=lit(1))
    assert dump(flow) == {"kind": "assign", "at": path("$.x"), "value": lit(1)}


def test_flow_ir_writes_an_absent_err_at_as_null() -> None:
    assert load(attempt(err_at=None)) == load(attempt())


def test_defaults_and_absent_fields_are_not_written() -> None:
    document = seq(step(retry={"max_attempts": 3, "factor": 3}), attempt(restore=True))
    children = dump(load(document | {"implicit": False}))["children"]
    assert children == [step(retry={"factor": 3}), attempt()]


def test_what_is_not_default_is_written() -> None:
    document = seq(
        step(id="a", implicit=True, retry={"on": []}), attempt(restore=False, on=["x.*"])
    )
    assert dump(load(document)) == document


def test_a_flow_holds_what_its_document_said() -> None:
    document = seq(
        step(out="ctx.o[0]", timeout_s=2, retry={"jitter": 0, "on": ["a.*"]}),
        loop(exhausted_at="$.e"),
        fanout(join="quorum", quorum=2, limit=path("$.n"), index="$.i", collect=path("$.c")),
        attempt(error_at="$.err", **{"finally": EMPTY}),
    )
    root = load(document).root
    assert isinstance(root, Seq)
    a, b, c, d = root.children
    assert isinstance(a, Step)
    assert isinstance(b, Loop)
    assert isinstance(c, Fanout)
    assert isinstance(d, Try)
    assert (a.out, a.timeout_s) == (Path(("o", 0)), 2)
    assert a.retry == Retry(jitter=0, on=("a.*",))
    assert (b.max, b.exhausted_at) == (3, Path(("e",)))
    assert (c.limit, c.quorum, c.index) == (path("$.n"), 2, Path(("i",)))
    assert (d.error_at, d.finally_, d.restore) == (Path(("err",)), Seq(children=()), True)


def test_paths_inside_expressions_are_written_canonically() -> None:
    expr = {"op": "eq", "lhs": path("ctx['a b'].c"), "rhs": path("$['x'][0]")}
    assert load_expr(expr) == {"op": "eq", "lhs": path('$["a b"].c'), "rhs": path("$.x[0]")}


def test_a_quantifier_binds_the_item_and_its_position() -> None:
    body = {"op": "eq", "lhs": path("@r.n"), "rhs": path("@r_index")}
    inner = each("q", {"op": "array", "items": [path("@r"), path("@q"), path("@q_index")]})
    assert load_expr(each("r", body, "filter"))["body"] == body
    assert load_expr(each("r", inner))["body"]["body"]["items"][0] == path("@r")
    siblings = {"op": "array", "items": [each("r", path("@r")), each("r", path("@r"))]}
    assert load_expr(siblings) == siblings


def test_a_quantifier_may_hide_a_variable_around_it() -> None:
    inner = each("r", {"op": "array", "items": [path("@r"), path("@r_index")]})
    assert load_expr(each("r", inner)) == each("r", inner)
    assert load_expr(each("r_index", each("r", path("@r_index_index"))))["bind"] == "r_index"


def test_variables_that_the_caller_binds_may_be_read() -> None:
    assert load_expr(path("@r.a"), bound=frozenset({"r"})) == path("@r.a")


def test_the_places_of_an_expression_begin_where_the_caller_says() -> None:
    expr = {"op": "and", "args": [1, path("$.")]}
    found = expr_problems(expr, at="$.flow.children[2].cond")
    assert [line.split(": ")[0] for line in found] == [
        "$.flow.children[2].cond.args[0]",
        "$.flow.children[2].cond.args[1].at",
    ]


def test_what_was_loaded_is_a_private_copy() -> None:
    value = {"a": [1]}
    document = assign(value=lit(value))
    flow = load(document)
    value["a"].append(2)
    document["value"]["op"] = "path"
    assert flow == load(assign(value=lit({"a": [1]})))
    dump(flow)["value"]["value"]["a"].append(3)
    assert flow == load(assign(value=lit({"a": [1]})))


def test_text_bytes_and_objects_load_alike() -> None:
    document = seq(assign(value=lit("é")))
    text = json.dumps(document, ensure_ascii=False)
    assert load(text) == load(text.encode()) == load(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "expected JSON"),
        (b"\xff", "expected UTF-8 text"),
        ('{"kind": "seq", "kind": "seq", "children": []}', "expected each key once"),
        ('{"kind": "step", "ref": "a", "in": {"op": "lit", "value": NaN}}', "finite number"),
        ("[" * 5000 + "]" * 5000, "expected"),
        ('{"kind":"seq","children":[' * 5000 + "]}" * 5000, "expected"),
    ],
)
def test_text_that_is_not_strict_json_is_malformed(text: str | bytes, says: str) -> None:
    assert says in problems(text)[0]


def nested(levels: int, innermost: Any = None) -> dict[str, Any]:
    node = seq() if innermost is None else innermost
    for _ in range(levels - 1):
        node = seq(node)
    return node


@pytest.mark.parametrize("levels", [100, 128])
def test_nodes_nest_as_deep_as_the_limit(levels: int) -> None:
    flow = load(nested(levels))
    assert load(json.dumps(dump(flow))) == flow


@pytest.mark.parametrize("levels", [129, 5000])
def test_nodes_that_nest_deeper_are_malformed(levels: int) -> None:
    found = problems(nested(levels))
    assert len(found) == 1
    assert found[0] == f"${'.children[0]' * 128}: expected at most 128 levels of nodes, got more"


def negated(levels: int) -> dict[str, Any]:
    expr: dict[str, Any] = lit(True)
    for _ in range(levels - 1):
        expr = {"op": "not", "arg": expr}
    return expr


def test_expressions_nest_as_deep_as_the_limit() -> None:
    assert load_expr(negated(64)) == negated(64)


@pytest.mark.parametrize("levels", [65, 5000])
def test_expressions_that_nest_deeper_are_malformed(levels: int) -> None:
    assert expr_problems(negated(levels)) == [
        f"${'.arg' * 64}: expected at most 64 levels of expressions, got more"
    ]


def test_the_deepest_flow_loads_from_text() -> None:
    value: Any = 1
    for _ in range(60):
        value = [value]
    expr: Any = lit(value)
    for _ in range(63):
        expr = {"op": "array", "items": [expr]}
    document = nested(128, assign(value=expr))
    assert load(json.dumps(document)) == load(document)


def test_a_literal_nests_as_deep_as_any_value() -> None:
    value: Any = []
    for _ in range(200):
        value = [value]
    assert "levels" in expr_problems(lit(value))[0]


def test_cycles_are_malformed() -> None:
    node = seq()
    node["children"] += [node, node]
    assert problems(node)[0].endswith("expected a tree, got a cycle")
    expr: dict[str, Any] = {"op": "and", "args": []}
    expr["args"] += [expr, expr, lit(1)]
    assert expr_problems(expr)[0].endswith("expected a tree, got a cycle")
    ring: list[Any] = []
    ring.append(ring)
    assert expr_problems(lit(ring))[0].endswith("expected a tree, got a cycle")


def test_shared_parts_are_read_each_time_but_not_for_ever() -> None:
    node = seq()
    for _ in range(40):
        node = seq(node, node)
    assert problems(node)[-1].endswith("expected at most 100000 nodes, got more")
    expr = lit(1)
    for _ in range(40):
        expr = {"op": "eq", "lhs": expr, "rhs": expr}
    assert expr_problems(expr)[-1].endswith("a document of at most 4194304 bytes, got more")
    value: Any = 1
    for _ in range(40):
        value = [value, value]
    assert "expected a value of at most" in expr_problems(lit(value))[0]


def test_large_literals_count_towards_the_size_of_the_document() -> None:
    document = seq(*[assign(value=lit("é" * 600_000)) for _ in range(40)])
    assert problems(document)[0].endswith("a document of at most 4194304 bytes, got more")


def test_too_many_nodes_are_malformed() -> None:
    small = Limits(nodes=10)
    assert load(seq(*[EMPTY] * 9), limits=small).limits == small
    assert "at most 10 nodes" in problems(seq(*[EMPTY] * 10), limits=small)[0]


@pytest.mark.parametrize("make", [str, str.encode])
def test_the_text_of_a_document_has_a_size(make: Any) -> None:
    text = json.dumps(EMPTY)
    exact = Limits(document_bytes=len(text))
    assert load(make(text), limits=exact).root == Seq(children=())
    assert problems(make(text + " "), limits=exact) == [
        f"$: expected a document of at most {len(text)} bytes, got {len(text) + 1}"
    ]


def test_the_size_of_text_is_counted_in_bytes() -> None:
    text = json.dumps(assign(value=lit("é" * 50)), ensure_ascii=False)
    assert "bytes" in problems(text, limits=Limits(document_bytes=len(text)))[0]


def test_a_document_of_too_many_arrays_is_malformed() -> None:
    text = json.dumps(assign(value=lit([[], []])))
    assert problems(text, limits=Limits(document_containers=4)) == [
        "$: expected at most 4 arrays and objects, got more"
    ]


def test_a_document_that_is_no_text_is_parsed_already() -> None:
    assert parse_document(EMPTY) is EMPTY


def test_a_document_as_large_as_its_limit_loads() -> None:
    numbers = [1] * 1_000_000
    document = assign(value=lit(numbers))
    assert load(document) == load(json.dumps(document, separators=(",", ":")))


def test_reading_needs_few_frames_of_the_caller_s_stack() -> None:
    limit = sys.getrecursionlimit()
    document = nested(128, assign(value=negated(64)))

    def descend(frames: int) -> Flow:
        return load(document) if frames == 0 else descend(frames - 1)

    assert descend(limit // 2).root == load(document).root


def test_deep_text_never_exhausts_the_stack_of_its_caller() -> None:
    text = json.dumps(nested(128))

    def descend(frames: int) -> str:
        if frames:
            return descend(frames - 1)
        try:
            return type(load(text)).__name__
        except Malformed:
            return "Malformed"

    limit = sys.getrecursionlimit()
    outcomes = [descend(frames) for frames in range(0, limit - 250, 50)]
    assert outcomes[0] == "Flow"
    # From 3.12 on what is written in C has a stack of its own: nothing of this is refused.
    some = {"Flow", "Malformed"} if sys.version_info < (3, 12) else {"Flow"}
    assert {*outcomes} == some


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_what_is_dumped_loads_as_what_was_dumped(document: Any) -> None:
    flow = load(document)
    wire = dump(flow)
    assert load(wire) == flow
    assert dump(load(wire)) == wire
    assert load(json.dumps(document)) == flow
    assert dump(flow.root) == wire


@given(exprs())
def test_an_expression_in_canonical_form_is_read_as_it_is(expr: Any) -> None:
    assert load_expr(expr) == expr
    assert dump(expr) == expr
    assert dump(expr) is not expr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flows(), st.data())
def test_a_broken_field_is_always_told(flow: Flow, data: st.DataObject) -> None:
    wire = dump(flow)
    nodes = [wire]
    for node in nodes:
        nodes += [v for v in node.values() if isinstance(v, dict) and "kind" in v]
        nodes += node.get("children", [])
    node = data.draw(st.sampled_from(nodes))
    name = data.draw(st.sampled_from([n for n in node if n not in ("in", "value")]))
    node[name] = 1.5 if name != "timeout_s" else "1"
    assert len(problems(wire)) >= 1


def test_the_strategies_draw_each_field_of_each_node_and_each_op() -> None:
    seen: set[tuple[str, str]] = set()
    tables = NODE_FIELDS | {"let": NODE_FIELDS["assign"]} | OP_FIELDS

    def collect(value: Any) -> None:
        kind = type_of(value)
        if kind is dict:
            word = value.get("kind", value.get("op"))
            # A literal may hold anything under these names.
            if type_of(word) is str and word in tables:
                seen.update((word, name) for name in value)
        if kind in (dict, list):
            for inner in value.values() if kind is dict else value:
                collect(inner)

    wanted = {(word, name) for word, fields in tables.items() for name in fields}
    for number in range(10):  # what is drawn depends on what else is imported

        @seed(number)
        @settings(max_examples=400, database=None, phases=[Phase.generate])
        @given(documents(), exprs())
        def draw(document: Any, expr: Any) -> None:
            collect([document, expr])

        draw()
        if wanted <= seen:
            break
    assert wanted <= seen


@pytest.mark.parametrize("join", JOINS)
def test_every_join_loads(join: str) -> None:
    extra = {"quorum": 1} if join == "quorum" else {}
    root = load(fanout(join=join, **extra)).root
    assert isinstance(root, Fanout)
    assert root.join == join


def test_a_report_lists_words_as_a_sentence_needs_them() -> None:
    report = Report()
    report.unknown_word("$.join", "al", ("all", "any"))
    assert [str(p) for p in report.problems] == [
        "$.join: expected one of 'all', 'any', got 'al' — did you mean 'all'?"
    ]
