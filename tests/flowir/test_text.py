"""The written form of expressions: what it means, what is refused, and the way back."""

import json
import re
import time
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowir.errors import Malformed
from flowir.nodes import OP_FIELDS, QUANTIFIERS
from flowir.notation import KNOWN, LEVELS, OPERATORS, RESERVED, SPELLED_PATH
from flowir.path import Path, format_path
from flowir.text import format_expr, parse_expr

Wire = dict[str, Any]


def lit(value: Any) -> Wire:
    return {"op": "lit", "value": value}


def at(path: str) -> Wire:
    return {"op": "path", "at": path}


def two(op: str, lhs: Wire, rhs: Wire) -> Wire:
    return {"op": op, "lhs": lhs, "rhs": rhs}


def many(op: str, *args: Wire) -> Wire:
    return {"op": op, "args": list(args)}


def call(ref: str, *args: Wire) -> Wire:
    return {"op": "call_extern", "ref": ref, "args": list(args)}


def get(of: Wire, key: Wire) -> Wire:
    return {"op": "get", "of": of, "key": key}


def same(a: Any, b: Any) -> bool:
    """Compare as documents: 1, 1.0 and true differ, and so do the zeros."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


A, B, C = at("$.a"), at("$.b"), at("$.c")

MEANINGS: list[tuple[str, Wire]] = [
    # paths and elements
    ("ctx", at("$")),
    ("ctx.a.b", at("$.a.b")),
    ("$.a.b", at("$.a.b")),
    ("$", at("$")),
    ('ctx["k"]', at("$.k")),
    ('ctx["a b"][0][-1]', at('$["a b"][0][-1]')),
    ("ctx.list[0]", at("$.list[0]")),
    ("(ctx.a).b", at("$.a.b")),
    ("ctx[('k')]", at("$.k")),
    ("$['a b']", at("$['a b']")),
    ("$['a b'].c [1]", at('$["a b"].c[1]')),
    ("$.end", at("$.end")),
    ("ctx.map[ctx.key]", get(at("$.map"), at("$.key"))),
    ("ctx.map[ctx.key].x[0]", get(get(get(at("$.map"), at("$.key")), lit("x")), lit(0))),
    ('ctx[""]', get(at("$"), lit(""))),
    ("ctx[1.5]", get(at("$"), lit(1.5))),
    ("ctx[1000000000000000000]", get(at("$"), lit(10**18))),
    ("ctx[-100000000000000000]", get(at("$"), lit(-(10**17)))),
    ("ctx[-ctx.a]", get(at("$"), two("mul", lit(-1), A))),
    ("f(1).b", get(call("f", lit(1)), lit("b"))),
    ("({1})[0]", get({"op": "array", "items": [lit(1)]}, lit(0))),
    ("null.a", get(lit(None), lit("a"))),
    ("get(ctx.a, 'b')", get(A, lit("b"))),
    # literals
    ("nil", lit(None)),
    ("null", lit(None)),
    ("true", lit(True)),
    ("false", lit(False)),
    ("12", lit(12)),
    ("1e3", lit(1000.0)),
    (".5", lit(0.5)),
    ("3.", lit(3.0)),
    ("0x1F", lit(31)),
    ("0x.8p1", lit(1.0)),
    ("0xA.8", lit(10.5)),
    ("9223372036854775807", lit(2**63 - 1)),
    ("-9223372036854775808", lit(-(2**63))),
    ("-0.0", lit(-0.0)),
    ("-0", lit(0)),
    ("- -5", lit(5)),
    ("-(5)", lit(-5)),
    (r'"\a\b\f\n\r\t\v\\\"\'"', lit("\a\b\f\n\r\t\v\\\"'")),
    (r'"\x41\65\u{48}\u{1F600}\u{e9}\u{20ac}"', lit("AAH😀é€")),
    (r"'\xc3\xa9\195\169'", lit("éé")),
    ('"a\\z \n\t b\\\nc\\\r\nd"', lit("ab\nc\nd")),
    ("[[\n\na\r\n]b]]", lit("\na\n]b")),
    ("[==[ ]] ]=] ]==]", lit(" ]] ]=] ")),
    # signs
    ("ctx.a == 1", two("eq", A, lit(1))),
    ("ctx.a ~= 1", two("ne", A, lit(1))),
    ("ctx.a < ctx.b", two("lt", A, B)),
    ("ctx.a <= ctx.b", two("lte", A, B)),
    ("ctx.a > ctx.b", two("gt", A, B)),
    ("ctx.a >= ctx.b", two("gte", A, B)),
    ("ctx.a + ctx.b", two("add", A, B)),
    ("ctx.a - ctx.b", two("sub", A, B)),
    ("ctx.a * ctx.b", two("mul", A, B)),
    ("ctx.a / ctx.b", two("div", A, B)),
    ("ctx.a // ctx.b", two("idiv", A, B)),
    ("ctx.a % ctx.b", two("mod", A, B)),
    ("ctx.a .. ctx.b .. ctx.c", many("concat", A, B, C)),
    ("(ctx.a .. ctx.b) .. ctx.c", many("concat", many("concat", A, B), C)),
    ("ctx.a and ctx.b and ctx.c", many("and", A, B, C)),
    ("ctx.a and (ctx.b and ctx.c)", many("and", A, many("and", B, C))),
    ("ctx.a or ctx.b and ctx.c", many("or", A, many("and", B, C))),
    ("ctx.a or 0", many("or", A, lit(0))),
    ("not ctx.a == ctx.b", two("eq", {"op": "not", "arg": A}, B)),
    ("#ctx.a", {"op": "len", "arg": A}),
    ("-ctx.a", two("mul", lit(-1), A)),
    ("-ctx.a + ctx.b", two("add", two("mul", lit(-1), A), B)),
    ("ctx.a + ctx.b * ctx.c", two("add", A, two("mul", B, C))),
    ("ctx.a - ctx.b - ctx.c", two("sub", two("sub", A, B), C)),
    ("ctx.a .. ctx.b + ctx.c", many("concat", A, two("add", B, C))),
    ("ctx.a < ctx.b == true", two("eq", two("lt", A, B), lit(True))),
    # tables
    ("{}", {"op": "object", "fields": {}}),
    ("object{}", {"op": "object", "fields": {}}),
    ("array{}", {"op": "array", "items": []}),
    ("array{1}", {"op": "array", "items": [lit(1)]}),
    ("{ a = ctx.a, ['b c'] = 2; }", {"op": "object", "fields": {"a": A, "b c": lit(2)}}),
    ("object{ a = 1 }", {"op": "object", "fields": {"a": lit(1)}}),
    ("{ ctx.a, ctx.b }", {"op": "array", "items": [A, B]}),
    ("{ nil }", {"op": "array", "items": [lit(None)]}),
    # functions
    ("exists(ctx.a)", {"op": "exists", "arg": A}),
    ("default(ctx.a, 0)", {"op": "default", "arg": A, "fallback": lit(0)}),
    ("iif(ctx.a, 1, 2)", {"op": "if", "cond": A, "then": lit(1), "else": lit(2)}),
    ("contains(ctx.a, 1)", {"op": "in", "needle": lit(1), "haystack": A}),
    ("all_of()", many("and")),
    ("any_of(ctx.a)", many("or", A)),
    ("concat(ctx.a)", many("concat", A)),
    (
        "lit{ a = 1, b = { -1, 'x' }, c = {}, d = array{}, e = null, f = object{ g = nil } }",
        lit({"a": 1, "b": [-1, "x"], "c": {}, "d": [], "e": None, "f": {"g": None}}),
    ),
    ("lit(5)", lit(5)),
    ("lit'x'", lit("x")),
    ("lit(array{})", lit([])),
    ('fail("c.d", "m")', {"op": "fail", "code": "c.d", "message": lit("m")}),
    ('fail("c", "m", nil)', {"op": "fail", "code": "c", "message": lit("m"), "data": lit(None)}),
    (
        'fail("c", "m", nil, ctx.a)',
        {"op": "fail", "code": "c", "message": lit("m"), "cause_code": A},
    ),
    ("string.upper(ctx.a)", call("string.upper", A)),
    ("ctx.a:upper()", call("string.upper", A)),
    ("ctx.a:split(',')", call("string.split", A, lit(","))),
    ('("x"):upper()', call("string.upper", lit("x"))),
    ("json.decode'{}'", call("json.decode", lit("{}"))),
    ("mine(ctx.a)", call("mine", A)),
    ('call("odd name", 1)', call("odd name", lit(1))),
    ('call("f")', call("f")),
    (
        "map(ctx.a, function(r) return r.x end)",
        {"op": "map", "over": A, "bind": "r", "body": at("@r.x")},
    ),
    (
        "filter(ctx.a, function(r, i) return i > 0 end)",
        {"op": "filter", "over": A, "bind": "r", "body": two("gt", at("@r_index"), lit(0))},
    ),
    (
        "any(ctx.a, function(_) return true; end)",
        {"op": "any", "over": A, "bind": "_", "body": lit(True)},
    ),
    (
        "every(ctx.a, function(r) return any(r, function(s) return s == r.x or @r_index end) end)",
        {
            "op": "every",
            "over": A,
            "bind": "r",
            "body": {
                "op": "any",
                "over": at("@r"),
                "bind": "s",
                "body": many("or", two("eq", at("@s"), at("@r.x")), at("@r_index")),
            },
        },
    ),
    (
        "map(ctx.a, 'end', @end['x y'])",
        {"op": "map", "over": A, "bind": "end", "body": at("@end['x y']")},
    ),
    (
        "map(ctx.a, function(r) return r[r.k] end)",
        {"op": "map", "over": A, "bind": "r", "body": get(at("@r"), at("@r.k"))},
    ),
    ("1 -- a comment", lit(1)),
    ("--[[ a\ncomment ]] 1", lit(1)),
]


@pytest.mark.parametrize(("text", "wire"), MEANINGS, ids=[text for text, _ in MEANINGS])
def test_a_text_means_what_the_table_says_and_prints_back(text: str, wire: Wire) -> None:
    assert same(parse_expr(text), wire)
    assert same(parse_expr(format_expr(wire)), wire)


PRINTED = [
    "ctx.n < 3 and not ctx.done",
    "(ctx.a or ctx.b) and ctx.c",
    "ctx.a - (ctx.b - ctx.c) - 1",
    "(ctx.a .. ctx.b) .. ctx.c",
    "-(ctx.a + 1) * -ctx.b",
    "-(-ctx.a)",
    "-1 * 5",
    "ctx.a - -5",
    "#ctx.a[0].b",
    "(ctx.a == ctx.b) == true",
    'ctx["a b"]["end"].c',
    'get(ctx.a, "b")',
    "string.upper(ctx.a).x[ctx.k]",
    '("x")[0]',
    "(-5).x",
    '{ a = 1, ["b c"] = {}, d = array{} }',
    "lit{ a = { 1, 2 }, b = array{} }",
    "lit(array{})",
    'map(ctx.a, function(r, r_index) return r.x .. r_index end)',
    'map(ctx.a, "list", @list.x)',
    'call("odd name", 1)',
    'call("exists", 1)',
    "all_of(ctx.a)",
    "$['a b']",
    '"é\\n\\u{0}\\u{7f}\\\\\\""',
]  # fmt: skip


@pytest.mark.parametrize("text", [t for t in PRINTED if not t.startswith("(ctx.a ==")])
def test_what_needs_no_change_is_printed_as_it_was_written(text: str) -> None:
    assert format_expr(parse_expr(text)) == text


def test_parentheses_are_printed_only_where_they_matter() -> None:
    assert format_expr(parse_expr("((ctx.a) == (ctx.b)) == (not (ctx.c))")) == (
        "ctx.a == ctx.b == not ctx.c"
    )


def test_the_levels_of_the_printer_are_those_of_the_grammar() -> None:
    signs = {op: sign for sign, op in OPERATORS.items()} | {
        "and": "and",
        "or": "or",
        "concat": "..",
    }
    for low, high in ((a, b) for a in signs for b in signs if LEVELS[a] < LEVELS[b]):
        parsed = parse_expr(f"ctx.a {signs[high]} ctx.b {signs[low]} ctx.c")
        assert parsed["op"] == low, (low, high)
        assert parse_expr(f"ctx.a {signs[low]} ctx.b {signs[high]} ctx.c")["op"] == low
    for op in signs:
        assert parse_expr(f"not ctx.a {signs[op]} ctx.b")["op"] == op


def test_the_spelled_paths_of_the_printer_are_those_of_the_grammar() -> None:
    grammar = files("flowir").joinpath("grammar.lark").read_text()
    (pattern,) = re.findall(r"^PATH: /(.*)/$", grammar, re.MULTILINE)
    assert pattern == SPELLED_PATH.pattern


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_is_neither_a_member_nor_a_parameter(word: str) -> None:
    for text in (f"ctx.{word}", f"map(ctx.a, function({word}) return 1 end)", f"{{ {word} = 1 }}"):
        with pytest.raises(Malformed):
            parse_expr(text)
    assert parse_expr(f"$.{word}") == at(f"$.{word}")


REFUSED = [
    # text, column, words of the sentence
    ("", 1, "expected a value, got the end of the text"),
    ("  ", 1, "got the end of the text"),
    ("ctx.n = 3", 7, "assigns nothing; 'equal' is written =="),
    ("ctx.n == == 3", 10, "expected a value, got '=='"),
    ("ctx.n === 3", 9, "'equal' is written =="),
    ("ctx.n != 3", 7, "expected an operator or the end, got '!' — 'not equal' is written ~="),
    ("ctx.n <> 3", 8, "~="),
    ("ctx.a && ctx.b", 8, "'both' is written and"),
    ("ctx.a || ctx.b", 8, "'either' is written or"),
    ("!ctx.a", 1, "negation is written not"),
    ("ctx.a ? 1 : 2", 7, "iif(cond, a, b)"),
    ("ctx.a ?? 1", 7, "default(value, fallback)"),
    ("null?", 5, "default(value, fallback)"),
    ("ctx.n => 3", 7, ">="),
    ("ctx.n++", 7, "write … + 1"),
    ("ctx.a;", 6, "without ';'"),
    ("return ctx.a", 1, "without 'return'"),
    ("ctx.a AND ctx.b", 7, "write and"),
    ("ctx.a OR ctx.b", 7, "write or"),
    ("NOT ctx.a", 5, "expected an operator or the end"),
    ("1 in ctx.a", 3, "contains(list, value)"),
    ("if ctx.a then 1", 1, "iif(cond, a, b)"),
    ("local x = 1", 1, "no statements"),
    ("'abc", 1, "not closed"),
    ('"a\nb"', 1, "not closed"),
    ("[[abc", 1, "expected the long string to be closed"),
    ("[=[abc]]", 1, "expected the long string to be closed"),
    ("[[]", 1, "expected the long string to be closed"),
    ("1 --[[ abc", 5, "expected the long string to be closed"),
    ("3x", 1, "malformed"),
    ("1..2", 1, "malformed"),
    ("0x", 1, "malformed"),
    ("@", 1, "got '@'"),
    ("ctx.a b", 7, "expected an operator or the end, got 'b'"),
    ("f(ctx.a b", 9, "expected an operator, ',' or ')', got 'b'"),
    ("f(", 3, "expected a value or ')', got the end of the text"),
    ("{ a = }", 7, "expected a value, got '}'"),
    ("{ 1", 4, "expected an operator, ',' or '}'"),
    ("ctx.", 5, "expected a name, got the end"),
    ("ctx.end", 5, 'as a key it is written ["end"]'),
    ("ctx[0", 6, "expected an operator or ']'"),
    ("$foo", 2, "write $.foo"),
    ("$.", 3, "expected a name"),
    ("$.a..", 6, "expected a value"),
    ("$.a[", 5, "expected a value"),
    ('$.a[""]', 1, "a key may not be empty"),
    (r'$["\q"]', 1, "wrong escape"),
    ('$.a["x"]b', 9, "expected an operator or the end"),
    # what Lua has and a flow has not
    ("ctx.a ^ 2", 7, "there is no power operator"),
    ("ctx.a & 1", 7, "'and' joins conditions"),
    ("ctx.a | 1", 7, "'or' joins conditions"),
    ("ctx.a ~ 1", 7, "'not' negates"),
    ("~ctx.a", 1, "'not' negates"),
    ("ctx.a << 1", 7, "no bit operators"),
    ("ctx.a >> 1", 7, "no bit operators"),
    ("...", 1, "no '...'"),
    ("function(x) return 1 end", 1, "stands only inside map"),
    ("f(function(x) return 1 end)", 3, "stands only inside map"),
    # numbers and strings
    ("9223372036854775808", 1, "64 bit"),
    ("-9223372036854775809", 1, "64 bit"),
    ("- -9223372036854775808", 1, "64 bit"),
    ("0xFFFFFFFFFFFFFFFF", 1, "64 bit"),
    ("1" * 5000, 1, "range of a float"),
    ("1e999", 1, "range of a float"),
    ("0x1p9999", 1, "range of a float"),
    (r"'a\q'", 3, "expected an escape of Lua, got '\\\\q'"),
    (r"'\xZZ'", 2, "expected an escape"),
    (r"'\256'", 2, "at most 255"),
    (r"'\u{80000000}'", 2, "31 bits"),
    (r"'\xff'", 1, "UTF-8"),
    (r"'\u{D800}'", 1, "UTF-8"),
    (r"'\u{7FFFFFFF}'", 1, "UTF-8"),
    (r"{ ['\xff'] = 1 }", 4, "UTF-8"),
    # names
    ("foo", 1, "the unknown name 'foo' — a field of the context is ctx.foo"),
    ("ctz.a", 1, "did you mean 'ctx'?"),
    ("None", 1, "did you mean 'nil'?"),
    ("exists", 1, "which is called: exists(…)"),
    ("string.upper", 1, "which is called: string(…)"),
    ("@r.x", 1, "expected a bound variable, got '@r'"),
    ("ctx.a(1)", 1, "got a call of 'ctx'"),
    ("null(1)", 1, "got a call of 'null'"),
    ("f(1)(2)", 1, "got a call of a value"),
    ("map(ctx.a, function(r) return r(1) end)", 31, "got a call of 'r'"),
    ("map(ctx.a, function(row) return rwo end)", 33, "did you mean 'row'?"),
    # tables
    ("{ 1, a = 2 }", 6, "a table that is both"),
    ("{ a = 1, a = 2 }", 10, "each key once, got 'a' twice"),
    ("{ [1] = 2 }", 3, "the elements of a list stand without keys"),
    ("{ [ctx.a] = 2 }", 3, "written out"),
    ("array{ a = 1 }", 6, "expected { e, … }"),
    ("object{ 1 }", 7, "expected { name = e, … }"),
    ("array(1)", 1, "write array{}"),
    ("lit{ ctx.a }", 6, "plain JSON"),
    ("lit(1, 2)", 1, "expected 1 argument, got 2"),
    # functions
    ("exists()", 1, "exists: expected 1 argument, got 0"),
    ("default(1)", 1, "default: expected 2 arguments, got 1"),
    ("fail('c')", 1, "expected a code in quotes and a message"),
    ("fail(ctx.a, 'm')", 1, "expected a code in quotes"),
    ("fail('', 'm')", 1, "expected a code in quotes"),
    ("fail('c', 'm', 1, 2, 3)", 1, "expected a code in quotes"),
    ("call(ctx.a)", 1, "the name of a function in quotes"),
    ("call('')", 1, "the name of a function in quotes"),
    ("map(ctx.a)", 1, "map: expected a list and a function"),
    ("map(ctx.a, 'no name', 1)", 1, "map: expected a list and a function"),
    ("map(ctx.a, function() return 1 end)", 12, "(item) or (item, i)"),
    ("map(ctx.a, function(a, b, c) return 1 end)", 12, "(item) or (item, i)"),
    ("map(ctx.a, function(...) return 1 end)", 12, "(item) or (item, i)"),
    ("map(ctx.a, function(a, ...) return 1 end)", 12, "(item) or (item, i)"),
    ("map(ctx.a, function(r) end)", 12, "returns one value"),
    ("map(ctx.a, function(r) return end)", 12, "returns one value"),
    ("map(ctx.a, function(r) return 1, 2 end)", 12, "returns one value"),
    ("map(ctx.a, function(r) local x = 1 end)", 24, "expected 'return' or 'end'"),
    ("map(ctx.a, function(ctx) return 1 end)", 21, "which is known here"),
    ("map(ctx.a, function(string) return 1 end)", 21, "which is known here"),
    ("map(ctx.a, function(r, r) return 1 end)", 24, "which is known here"),
    ("map(ctx.a, function(r, null) return 1 end)", 24, "which is known here"),
    ("map(ctx.a, function(r) return map(r, function(r) return 1 end) end)", 47, "hide"),
    ("map(ctx.a, function(r, i) return map(r, function(i) return 1 end) end)", 50, "known"),
    ("map(ctx.a, function(r) return map(r, function(r_index) return 1 end) end)", 47, "hide"),
    ("map(ctx.a, function(r) return map(r, 'r', r) end)", 43, "unknown name 'r'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "words"), REFUSED, ids=[t[:40] for t, _, _ in REFUSED])
def test_what_is_refused_says_where_and_why(text: str, column: int, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_expr(text)
    (problem,) = caught.value.problems
    assert problem.code == "malformed"
    assert problem.at == f"line 1, column {column}"
    assert "\n" not in problem.message
    assert words in f"{problem.message} — {problem.hint}"


def test_an_error_shows_the_line_and_a_caret_below_the_place() -> None:
    with pytest.raises(Malformed) as caught:
        parse_expr("ctx.a and\n\tctx.b = 3 or\nctx.c")
    sentence = "expected an operator or the end, got '='"
    hint = "an expression assigns nothing; 'equal' is written =="
    assert str(caught.value).splitlines() == [
        f"line 2, column 8: {sentence} — {hint}",
        "  \tctx.b = 3 or",
        "  \t      ^",
    ]
    assert caught.value.values["line"] == 2
    assert caught.value.values["column"] == 8


def test_a_long_line_is_cut_around_the_caret() -> None:
    with pytest.raises(Malformed) as caught:
        parse_expr("ctx.a + " * 100 + "!" + " + ctx.a" * 100)
    _, line, caret = str(caught.value).splitlines()
    assert len(line) < 90
    assert line[caret.index("^")] == "!"


@pytest.mark.parametrize("text", [None, 5, b"1", ["ctx.a"]])
def test_what_is_no_text_is_malformed(text: Any) -> None:
    with pytest.raises(Malformed, match="expected the text of an expression"):
        parse_expr(text)


def test_a_lone_surrogate_is_malformed_and_its_error_can_be_printed() -> None:
    with pytest.raises(Malformed, match="lone surrogate") as caught:
        parse_expr("'a\ud800'")
    assert str(caught.value).encode()


def test_a_text_larger_than_a_document_is_malformed() -> None:
    with pytest.raises(Malformed, match="expected at most 4194304 characters"):
        parse_expr(" " * 4_194_305)


def nested(depth: int, op: str = "not") -> Wire:
    expr = A
    for _ in range(depth - 1):
        expr = {"op": op, "arg": expr}
    return expr


def test_sixty_four_expressions_inside_each_other_are_read_and_one_more_is_not() -> None:
    assert parse_expr("not " * 63 + "ctx.a") == nested(64)
    assert format_expr(nested(64)) == "not " * 63 + "ctx.a"
    with pytest.raises(Malformed, match="at most 64"):
        parse_expr("not " * 64 + "ctx.a")
    with pytest.raises(Malformed, match="at most 64"):
        format_expr(nested(65))


DEEP = [
    "(" * 10_000,
    "{" * 10_000,
    "ctx[" * 10_000,
    "f(" * 10_000 + ")" * 10_000,
    "not " * 10_000 + "1",
    "- " * 10_000 + "1",
    "1" + " + 1" * 10_000,
    "f()" + ".a" * 10_000,
    "f()" + ":a()" * 10_000,
    "ctx" + "[ctx.a]" * 10_000,
    "1 " + "^ 1" * 10_000,
    "lit" + "{" * 129 + "}" * 129,
    "lit(" + "{" * 129 + "}" * 129 + ")",
    "map(ctx.a, function(r) return " * 300 + "1" + " end)" * 300,
]


@pytest.mark.parametrize("text", DEEP, ids=[t[:12] for t in DEEP])
def test_depth_is_a_clean_refusal(text: str) -> None:
    with pytest.raises(Malformed):
        parse_expr(text)


# Each puts an expression into another; `N` is another number in each.
AROUND = [
    "{ a = E }", "{ E }", "not (E)", "-(E)", "(E) + 1", "1 * (E)", "(E) == 1", "1 .. (E)",
    "(E) and ctx.b", "ctx.b or (E)", "#(E)", "default(E, 1)", "default(1, E)", "iif(E, 1, 2)",
    "iif(1, 2, E)", "contains(ctx.l, E)", "exists(E)", "string.upper(E)", "(E):upper()",
    "ctx.a:find(E)", "call('f', E)", "fail('c', E)", "fail('c', 'm', E)", "all_of(E, 1)",
    "any_of(1, E)", "concat(E)", "map(E, function(x) return 1 end)",
    "any(ctx.l, function(xN) return E end)", "any(ctx.l, 'xN', E)", "get(ctx.a, E)",
    "get(E, 'k')", "ctx.a[E]", "(E)[ctx.k]", "array{ E }", "object{ a = E }",
]  # fmt: skip


@pytest.mark.parametrize("around", AROUND)
def test_expressions_stand_64_deep_inside_each_other_and_no_deeper(around: str) -> None:
    text = "ctx.a"
    for number in range(63):
        text = around.replace("N", str(number)).replace("E", text)
    parse_expr(text)
    with pytest.raises(Malformed, match="expected at most 64 expressions inside each other"):
        parse_expr(around.replace("N", "63").replace("E", text))


@pytest.mark.parametrize("around", ["{ E }", "{ a = E }", "array{ E }", "object{ a = E }"])
def test_literal_tables_stand_128_deep_inside_each_other_and_no_deeper(around: str) -> None:
    text = "{ 1 }"
    for _ in range(127):
        text = around.replace("E", text)
    parse_expr(f"lit({text})")
    with pytest.raises(Malformed, match="expected at most 128 tables inside each other"):
        parse_expr(f"lit({around.replace('E', text)})")


def _deep(levels: int) -> str:
    return "not (" * (levels - 1) + "ctx.a" + ")" * (levels - 1)


def test_of_computed_keys_the_first_stands_the_deepest() -> None:
    for text in ("ctx[E][ctx.b][ctx.c]", "ctx.l[ctx.b][E][ctx.c]", "ctx[ctx.b][ctx.c][E]"):
        inside = 3 - text.split("E")[0].count("[ctx")
        parse_expr(text.replace("E", _deep(64 - inside)))
        with pytest.raises(Malformed, match="at most 64 expressions inside each other"):
            parse_expr(text.replace("E", _deep(65 - inside)))
    parse_expr("ctx" + "[ctx.a]" * 63)
    with pytest.raises(Malformed, match=r"column 5: expected at most 64 expressions inside"):
        parse_expr("ctx" + "[ctx.a]" * 64)


def test_a_function_may_have_a_name_of_many_parts() -> None:
    assert parse_expr("a.b.c.d(1)") == call("a.b.c.d", lit(1))


def test_a_key_may_stand_in_parentheses() -> None:
    assert parse_expr("{ [('a')] = 1 }") == parse_expr("{ a = 1 }")
    assert parse_expr("lit{ [(('a'))] = 1 }") == lit({"a": 1})


def test_long_chains_and_paths_are_not_deep() -> None:
    assert len(parse_expr("ctx.a" + " and ctx.a" * 5_000)["args"]) == 5_001
    assert len(parse_expr("'a'" + " .. 'a'" * 5_000)["args"]) == 5_001
    assert parse_expr("ctx" + ".a" * 5_000) == at("$" + ".a" * 5_000)
    assert parse_expr("(" * 300 + "1" + ")" * 300) == lit(1)


def test_a_literal_may_be_as_deep_as_a_value() -> None:
    value: Any = 1
    for _ in range(128):
        value = [value]
    assert parse_expr(format_expr(lit(value))) == lit(value)


def test_a_malformed_token_is_refused_in_linear_time() -> None:
    for text in ("1" * 200_000 + "x", '"' + "a" * 200_000, "[[" * 100_000, "--[[" * 50_000):
        began = time.process_time()
        with pytest.raises(Malformed):
            parse_expr(text)
        assert time.process_time() - began < 30  # quadratic: minutes


def test_names_bound_around_an_expression_are_variables_in_it() -> None:
    assert parse_expr("r.x + @r.y", bound=("r",)) == two("add", at("@r.x"), at("@r.y"))
    assert format_expr(at("@r.x")) == "@r.x"


def test_an_answer_is_the_callers_own() -> None:
    parse_expr("lit{ a = 1 }")["value"]["a"] = 2
    assert parse_expr("lit{ a = 1 }") == lit({"a": 1})


def test_a_path_in_another_spelling_is_printed_and_means_the_same() -> None:
    assert parse_expr(format_expr(at("ctx.a['b']"))) == at("$.a.b")
    assert parse_expr(format_expr(at("$.a-b"))) == at('$["a-b"]')


@pytest.mark.parametrize("expr", [{}, {"op": "nope"}, {"op": 5}])
def test_an_unknown_op_is_not_printed(expr: Wire) -> None:
    with pytest.raises(Malformed, match="expected a known op"):
        format_expr(expr)


def test_every_known_name_works_as_a_bound_variable_on_the_wire() -> None:
    for word in sorted(KNOWN | RESERVED):
        expr = {"op": "map", "over": A, "bind": word, "body": at(f"@{word}.x")}
        assert parse_expr(format_expr(expr)) == expr


def test_a_variable_hides_an_extern_of_its_name() -> None:
    body = many("concat", call("r.f", at("@r")), call("r"))
    expr = {"op": "map", "over": A, "bind": "r", "body": body}
    assert format_expr(expr) == 'map(ctx.a, function(r) return call("r.f", r) .. call("r") end)'
    assert parse_expr(format_expr(expr)) == expr


def test_a_quantifier_that_hides_another_is_printed_by_its_variable() -> None:
    inner = {"op": "map", "over": at("@r"), "bind": "r", "body": at("@r_index")}
    expr = {"op": "map", "over": A, "bind": "r", "body": inner}
    assert format_expr(expr) == 'map(ctx.a, function(r) return map(r, "r", @r_index) end)'
    assert parse_expr(format_expr(expr)) == expr


# ---- the way there and back, for every expression

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = st.sampled_from(["a", "b_1", "end", "ctx", "null", "map", "string.upper", "r", "r.f"])
INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)
SCALARS = (
    st.none() | st.booleans() | INTS | TEXTS | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NAMES, inner, max_size=3),
    max_leaves=6,
)
SEGMENTS = st.integers(-(10**17) + 1, 10**18 - 1) | NAMES | TEXTS.filter(bool)
BINDS = st.sampled_from(["r", "s", "r_index", "_", "end", "ctx", "map", "string", "item"])


@st.composite
def paths(draw: st.DrawFn, bound: frozenset[str]) -> str:
    root = draw(st.sampled_from([None, *sorted(bound)]))
    return format_path(Path(tuple(draw(st.lists(SEGMENTS, max_size=3))), root))


@st.composite
def expressions(draw: st.DrawFn, bound: frozenset[str] = frozenset(), depth: int = 5) -> Wire:
    """Build an expression from the table of fields: a new op is covered by itself."""
    op = draw(st.sampled_from(sorted(OP_FIELDS) if depth else ["lit", "path"]))
    expr: Wire = {"op": op}
    for name, spec in OP_FIELDS[op].items():
        inner = expressions(bound, depth - 1)
        kinds: dict[str, st.SearchStrategy[Any]] = {
            "expr": inner,
            "exprs": st.lists(inner, max_size=3),
            "fields": st.dictionaries(TEXTS | NAMES, inner, max_size=3),
            "path": paths(bound),
            "json": VALUES,
            "name": NAMES | TEXTS.filter(bool),
            "var": BINDS,
        }
        if spec.required or draw(st.booleans()):
            expr[name] = draw(kinds[spec.type])
        if spec.type == "var":
            bound |= {expr[name], f"{expr[name]}_index"}
    return expr


@given(expressions())
@example(lit(-0.0))
@example(get(lit(-1), lit("x")))
@example(two("mul", lit(-1), lit(-5)))
@example(two("mul", lit(-1.0), A))
@example(two("mul", lit(True), A))
@example(get(A, lit(-1)))
@example({"op": "map", "over": A, "bind": "r", "body": get(at("@r"), lit("x"))})
def test_every_expression_is_printed_and_read_back(expr: Wire) -> None:
    text = format_expr(expr)
    assert same(parse_expr(text), expr)
    assert "\n" not in text


# fmt: off
TOKENS = st.sampled_from([
    "ctx", ".", "[", "]", "(", ")", "{", "}", ",", ";", "=", "==", "~=", "!", "&", "&&", "|", "?",
    "$", "$.a", "@r", "r", "function", "return", "end", "map", "and", "or", "not", "nil", "1",
    "-1", "0x", "'a'", '"', "[[", "]]", "--", "..", "...", "^", "#", "x:", "\n", "\\", "if", "é",
])
# fmt: on


@given(st.lists(TOKENS, max_size=12).map("".join) | st.lists(TOKENS, max_size=12).map(" ".join))
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    try:
        expr = parse_expr(text)
    except Malformed:
        return
    assert same(parse_expr(format_expr(expr)), expr)


def test_the_quantifiers_of_the_language_are_all_written_alike() -> None:
    for name in QUANTIFIERS:
        assert parse_expr(f"{name}(ctx.a, function(r) return r end)")["op"] == name
