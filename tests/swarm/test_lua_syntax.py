"""The whole grammar of Lua 5.4, judged by Lua 5.4 itself."""

import re
import time
from importlib.resources import files
from typing import Any

import lupa.lua54
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowir.syntax as fs
import swarm.lua.syntax as ls
from swarm.errors import Place, ScriptFailed
from swarm.lua.syntax import bound_names, field_at, field_line, parse_lua, walk

Runtime: Any = lupa.lua54.LuaRuntime  # its stub knows no encoding
LUA: Any = Runtime(encoding=None, unpack_returned_tuples=True)
LOAD: Any = LUA.eval(b"function(s) local f, e = load(s, '=c', 't') return f ~= nil, e end")
CALL: Any = LUA.eval(b"function(s) return pcall(load(s)) end")

EVERY_FORM = r"""
-- a comment
--[[ a long
comment ]] --[==[ ]] ]=] ]==] --[ short
;;; local a <const>, b <close>, c = 1, nil
local f = function(...) local x, y = ..., select('#', ...) return x, y end
local s1, s2, s3 = "a\z
      b\x41\u{48}\65\n\"\'\\\a\b\f\r\t\v", 'q"\
r', [==[
first newline dropped ]] ]=]]==]
local n = { 0x10, 0xA.8p1, 0x.1p-4, 0xfp+2, 3, 3., .5, 314.16e-2, 34e1, 0xFFFFFFFFFFFFFFFF,
  9223372036854775807, 9223372036854775808, 1e308, 0X1P2, 1E+2, }
local p = -2^-3^2 .. "x" .. 1 .. 2 << 1 + 2 * 3 // 4 % 5
local q = not a == b and c or -x^2 < #s1 .. "y" | 1 ~ 2 & ~3 >> 1
local cmp = 1 < 2 == true ~= (3 >= 2), a <= b, a > b
goto done
do local z = 1; ::inner:: z = z + 1; if z < 3 then goto inner end end
::done::
while a do break end
repeat local u = 1 until u == 1
for i = 1, 10 do end for i = 1, 10, -2 do goto continue ::continue:: end
for k, v in pairs(t), nil do end
if a then elseif b then else end if a then end
function g() end function t.a.b.c(x, ...) return ... end
function t.m:meth(y) self.y = y; return end
local function rec(n) if n == 0 then return 1 end return n * rec(n - 1) end
f"str" f'str' f[[long]] f{1, 2; 3, x = 1, ["y"] = 2, [1 + 1] = 3, f()} obj:m"str" obj:m{}
obj:m(1, 2).x[1]["y"]:z()();
(f or g)(1)
a.b["c"][1], d = 1, 2
local t = {...} ; local u = {f(), (f())} ; local e = {}
local h = a.b.c:d(1)(2)[3] "x" {y = 1}
local andy, nothing, ending, orx, iffy = 1, 2, 3, 4, 5
local vv = x--[[x]]-y---c
- 3
return function() return end, (f()), a and b or c;
"""

SPLIT = re.compile(
    r"--\[\[[\s\S]*?\]\]|--[^\n]*|\"[^\"]*\"|'[^']*'|[A-Za-z_]\w*|[0-9.]+\w*|[<>=~]=|::|\.\.\.?|//"
    r"|<<|>>|[^\s\w]"
)
TOKENS = SPLIT.findall(EVERY_FORM)
# What Lua's compiler refuses after its parser has accepted.
LATER = re.compile(
    rb"no visible label|label '\w+' already|break outside|outside a vararg|to const variable"
    rb"|scope of local|overflow|to-be-closed"
)

CORPUS = [
    # one line each; Lua says which are right
    "", "  ", ";", "return", "return;", "return 1, 2;", "return return", "return 1 x = 2",
    "x = 1", "x = = 1", "x, y.z, w[1] = f()", "x, f() = 1", "f() = 1", "(x) = 1", "x", "x.y",
    "f", "f()", "f{}", "f''", "f[[]]", "f 1", "x:y()", "x:y", "x:y.z()", "(f)()", "('x'):f()",
    "'x':f()", "{}.x = 1", "local x", "local x, y = 1", "local x.y = 1", "local x <const> = 1",
    "local x <foo> = 1", "local x <const", "local function f() end", "local function f.g() end",
    "function f() end", "function f.g:h() end", "function f:g.h() end", "function f:g:h() end",
    "function () end", "x = function() end", "x = function(a, b, ...) end", "f(function(...) end)",
    "x = function(..., a) end", "x = function(a,) end", "x = function(a b) end",
    "x = function(1) end", "do end", "do", "end", "while x do end", "while do end",
    "while x do y() end end", "repeat until x", "repeat x", "until x", "if x then end",
    "if x then else end", "if x then elseif y then else end", "if x then else elseif y then end",
    "if x end", "elseif", "for i = 1, 2 do end", "for i = 1, 2, 3 do end", "for i = 1 do end",
    "for i = 1, 2, 3, 4 do end", "for i, j = 1, 2 do end", "for i in f do end", "for in f do end",
    "for i, j in f, g do end", "for a.b in f do end", "goto x ::x::", "::x::", "::x:", ":: x ::",
    "goto 1", "break 1", "while 1 do break; end", "x = {}", "x = {,}", "x = {1,}", "x = {;}",
    "x = {1;2,3;}", "x = {a = 1, ['b'] = 2, [f()] = 3, 4}", "x = {a.b = 1}", "x = {[1]}",
    "x = {a = }", "x = 1 2", "x = 1 + ", "x = + 1", "x = - - - 1", "x = not not 1", "x = ~1",
    "x = !1", "x = 1 != 2", "x = a && b", "x += 1", "x++", "x = a ? b : c", "x = @a", "x = $a",
    "x = `a`", "x = #a.b.c", "x = -a ^ -b ^ -c", "x = 2 ^ - 3", "x = a .. b .. c",
    "x = 1 .. 2", "x = 1..2", "x = 3x", "x = 0x", "x = 0xg", "x = 1e", "x = 1e+", "x = 0x1p",
    "x = 1.2.3", "x = .", "x = ..", "x = ...", "x = 5.", "x = .5e3", "x = 0x.p1", "x = 0x1.8p3",
    "x = 'a", "x = 'a\nb'", "x = 'a\\\nb'", "x = '\\q'", "x = '\\x4'", "x = '\\x41'",
    "x = '\\u{110000}'", "x = '\\u{80000000}'", "x = '\\u{}'", "x = '\\u41'", "x = '\\255'",
    "x = '\\256'", "x = '\\z  \n  b'", "x = [[a]]", "x = [==[a]]]=]]==]", "x = [[a", "x = [=[a]]",
    "x = [=a", "x = [[]", "x = a[[b]]", "x = a[ [[b]] ]", "x = a[b[c]]", "-- x", "--", "--[[ x",
    "--[[ x ]] y()", "--[==[ ]] ]==] y()", "--[ x", "--[=x", "x = 1 -- y", "x = a.end",
    "x = a.goto", "goto = 1", "end = 1", "x = nil.y", "x = (nil).y", "nil = 1", "x.1 = 2",
    "a.b:c'x'.d = 1", "a.b:c'x'.d()", "f()()()", "f\n(g)()", "f;(g)()", "x = f\n(g)", "é = 1",
    "x = 'é'", "#!/bin/lua", "\ufeffx = 1", "x\0 = 1", "x = a.b.c.d:e(f).g[h]{i}'j'", "a = b = c",
    "if x then return end", "if x then return y() z() end", "return f{} ;;", "local x <close>",
    "local function", "for", "function f(a, a) end", "x = (a, b)", "f(a,)", "f(,)", "f((a))",
    "x = a or b and c < d | e ~ f & g << h .. i + j * -k ^ l", "x = ((((((1))))))", "x = )",
    "a[1], b = 2", "a[] = 1", "a:b{}.c[1]:d''.e = 1", "local _ENV = {}", "x = '\\\r\nb'",
]  # fmt: skip


def accepted(source: str) -> bool:
    try:
        parse_lua(source)
    except ScriptFailed:
        return False
    return True


def lua_accepts(source: str) -> bool:
    ok, message = LOAD(source.encode())
    return bool(ok) or LATER.search(message) is not None


@pytest.mark.parametrize("source", [EVERY_FORM, *CORPUS], ids=lambda s: s[:40])
def test_what_lua_accepts_is_accepted_and_nothing_else(source: str) -> None:
    assert accepted(source) is lua_accepts(source)


@given(st.data())
def test_damaged_source_is_judged_as_lua_judges_it(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TOKENS) - 1))
    tokens = TOKENS[start : start + data.draw(st.integers(1, 40))]
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(tokens)))
        tokens[at : at + data.draw(st.integers(0, 1))] = data.draw(
            st.lists(st.sampled_from(TOKENS), max_size=1)
        )
    source = "\n".join(tokens)
    assert accepted(source) is lua_accepts(source)


def test_an_error_names_the_line_and_what_was_allowed() -> None:
    with pytest.raises(ScriptFailed) as caught:
        parse_lua("local x = 1\nlocal y = = 2\n", file="flows/a.lua")
    assert str(caught.value) == "flows/a.lua:2: expected a value, got '='"
    assert caught.value.code == "script.syntax"
    assert caught.value.where == Place("flows/a.lua", 2)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("if x then\n y()\n", "?:2: expected a statement or 'end' — 'if' at line 1 is not closed"),
        ("if x\nthen y() end end", "?:2: expected a statement or the end, got 'end'"),
        ("f(\n g()\n", "?:2: expected an operator, ',' or ')' — '(' at line 1 is not closed"),
        ("repeat\nf()\nend", "?:3: expected a statement or 'until' — 'repeat' at line 1"),
        ("x = 'a\\q'", "?:1: expected an escape of Lua, got '\\\\q' — write \\\\ for a backslash"),
        ("x = $.a", "?:1: expected Lua — paths with $ and @ stand in texts"),
        ("x = '\ud800'", "?:1: expected Unicode, got a lone surrogate"),
        ("local x <foo>", "?:1: expected the attribute <const> or <close>, got <foo>"),
        ("local x <const", "?:1: expected '>', got the end of the file"),
    ],
)  # fmt: skip
def test_the_sentence_of_an_error_helps(source: str, sentence: str) -> None:
    with pytest.raises(ScriptFailed) as caught:
        parse_lua(source)
    expected, _, hint = sentence.partition(" — ")
    assert str(caught.value).startswith(expected)
    assert hint in str(caught.value)


# ---- pieces


def only(source: str) -> Any:
    (statement,) = parse_lua(source).body
    return statement


def value(text: str) -> Any:
    (result,) = only(f"return {text}").values
    return result


NUMBERS = [
    "0", "007", "9223372036854775807", "9223372036854775808", "1" * 30, "1" * 500, "0" * 500 + "1",
    "0xFF", "0xffffffffffffffff", "0x8000000000000000", "0x1ffffffffffffffff", "3.", ".5", "1e3",
    "1e400", "0x.8", "0xA.8p1", "0x1p4", "0x1p99999",
]  # fmt: skip


@pytest.mark.parametrize("literal", NUMBERS)
def test_a_numeral_has_the_value_that_lua_gives_it(literal: str) -> None:
    ours, theirs = value(literal).value, CALL(b"return " + literal.encode())[1]
    assert (type(ours), ours) == (type(theirs), theirs)


STRINGS = [
    r'"\a\b\f\n\r\t\v\\\"\'"', r"'\x41\65\u{48}\0651'", r"'\xff\200'", r"'\u{D800}\u{7FFFFFFF}'",
    r"'\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{1fffff}\u{200000}\u{3ffffff}\u{4000000}'",
    "'a\\z \n\t b'", "'a\\\nb\\\r\nc\\\n\rd\\\re'", "[[\na\r\nb\rc]]", "[==[\r\n]]]=]]==]", "'é'",
    "[[\n\n]]", "''", "[[]]",
]  # fmt: skip


@pytest.mark.parametrize("literal", STRINGS)
def test_a_string_has_the_bytes_that_lua_gives_it(literal: str) -> None:
    ours = value(literal).value.encode(errors="surrogateescape")
    assert ours == CALL(b"return " + literal.encode())[1]


OPERATORS = "or and < > <= >= ~= == | ~ & << >> .. + - * / // % ^".split()  # noqa: SIM905
WORDS = st.sampled_from([*"0123", "2.5", "'7'", "true", "nil"])
CHAINS = st.lists(
    st.tuples(st.sampled_from(["", "", "-", "not ", "~", "# ", "- -"]), WORDS),
    min_size=2,
    max_size=6,
)


def parenthesised(piece: Any) -> str:
    match piece:
        case fs.Binary():
            return f"({parenthesised(piece.left)} {piece.op} {parenthesised(piece.right)})"
        case fs.Unary():
            return f"({piece.op} {parenthesised(piece.operand)})"
        case fs.Number():
            return piece.literal
        case fs.String():
            return repr(piece.value)
        case _:
            return {None: "nil", True: "true", False: "false"}[piece.value]


@given(CHAINS, st.data())
def test_operators_bind_as_in_lua(operands: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(operands[0])
    for sign, word in operands[1:]:
        text += f" {data.draw(st.sampled_from(OPERATORS))} {sign}{word}"
    plain, spelled = (
        CALL(f"return {text}".encode()),
        CALL(f"return {parenthesised(value(text))}".encode()),
    )
    assert repr(plain[0]) == repr(spelled[0])
    assert not plain[0] or repr(plain[1]) == repr(spelled[1])


def test_statements_hold_their_parts() -> None:
    chunk = parse_lua(EVERY_FORM)
    kinds = {type(piece) for piece in walk(chunk)}
    named = [getattr(module, name) for module in (fs, ls) for name in module.__all__]
    pieces = {kind for kind in named if isinstance(kind, type) and issubclass(kind, fs.Syntax)}
    assert pieces - kinds == {fs.Syntax, fs.Place}


def test_a_local_statement_has_names_attributes_and_values() -> None:
    local = only("local a <const>, b = 1, f()")
    assert [(name.name, name.attribute) for name in local.names] == [("a", "const"), ("b", None)]
    assert [type(piece) for piece in local.values] == [fs.Number, fs.Call]
    assert only("local a").values == ()


def test_a_function_statement_has_its_path_and_method() -> None:
    statement = only("function a.b:c(x, ...) return x end")
    assert [name.name for name in statement.path] == ["a", "b"]
    assert statement.method.name == "c"
    assert [name.name for name in statement.function.parameters] == ["x"]
    assert statement.function.varargs
    assert isinstance(statement.function.body[0], fs.Return)
    assert only("function f() end").method is None
    assert only("local function f(...) end").function.varargs


def test_an_if_statement_has_arms_and_an_else() -> None:
    statement = only("if a then x() elseif b then else y() end")
    assert [len(arm.body) for arm in statement.arms] == [1, 0]
    assert len(statement.otherwise) == 1
    assert only("if a then end").otherwise is None
    assert only("if a then else end").otherwise == ()


def test_loops_have_their_parts() -> None:
    loop = only("for i = 1, 10 do f(i) end")
    assert (loop.variable.name, loop.step, len(loop.body)) == ("i", None, 1)
    assert only("for i = 1, 10, 2 do end").step.value == 2
    assert [name.name for name in only("for k, v in pairs(t) do end").names] == ["k", "v"]
    assert isinstance(only("repeat until x").condition, fs.Name)
    assert only("do goto a end").body[0].label == "a"
    assert only("::a::").label == "a"


def test_fields_of_a_table_know_their_keys_and_lines() -> None:
    table = value("{\n  a = 1,\n  ['b'] = 2,\n\n  3,\n  [f()] = 4 }")
    assert [field.line for field in table.fields] == [2, 3, 5, 6]
    assert [type(field.key) for field in table.fields] == [
        fs.String, fs.String, type(None), fs.Call
    ]  # fmt: skip
    assert table.end_line == 6


def test_every_piece_lies_inside_its_parent_and_spells_its_source() -> None:
    chunk = parse_lua(EVERY_FORM)
    for piece in walk(chunk):
        assert piece.line == EVERY_FORM.count("\n", 0, piece.start) + 1
        assert 0 <= piece.start <= piece.end <= len(EVERY_FORM)
        for child in ls.children(piece):
            assert piece.start <= child.start <= child.end <= piece.end
        if isinstance(piece, fs.Function) and EVERY_FORM[piece.start - 1] in "( ":
            assert EVERY_FORM[piece.start : piece.end].startswith("function")
            assert EVERY_FORM[piece.start : piece.end].endswith("end")


LINES = """local f = mark
mark()
mark {
}
mark
  'x'
local t = {
  a = mark {},
  b = mark(
    mark()
  ),
}
mark('a'
)
f
()
local o = { m = function() mark() return f end }
o.m
  {
  } 'y'
o:
  m(
  )
"""


def test_a_call_has_the_line_that_lua_gives_it() -> None:
    run: Any = LUA.eval(
        b"""function(s)
          local seen = {}
          local function mark(...)
            seen[#seen + 1] = debug.getinfo(2, 'l').currentline
            return mark
          end
          load(s, '=c', 't', { mark = mark })()
          return table.concat(seen, ' ')
        end"""
    )
    theirs = {int(line) for line in run(LINES.encode()).split()}
    calls = [piece for piece in walk(parse_lua(LINES)) if isinstance(piece, fs.Call | fs.Method)]
    ours = {call.open_line for call in calls}
    assert theirs <= ours
    assert ours - theirs == {19, 22}  # o.m {…}, o:m(…): not calls of mark


# ---- depth, length


@pytest.mark.parametrize(
    "source",
    [
        "(" * 50_000,
        "x = " + "{" * 300 + "}" * 300,
        "x = 1" + " + 1" * 5_000,
        "x = " + "- " * 5_000 + "1",
        "x = a" + ".b" * 5_000,
        "do " * 5_000 + "end " * 5_000,
        "f" + "()" * 5_000,
    ],
    ids=lambda s: s[:10],
)
def test_depth_is_a_clean_refusal(source: str) -> None:
    with pytest.raises(ScriptFailed):
        parse_lua(source)


def test_a_hundred_blocks_inside_each_other_are_accepted() -> None:
    assert accepted("do " * 100 + "end " * 100)
    assert accepted("x = " + "(" * 150 + "1" + ")" * 150)


def test_a_long_script_takes_linear_time() -> None:
    body = EVERY_FORM[: EVERY_FORM.index("goto done")] * 140
    assert body.count("\n") > 2_000
    accepted("x = 1")  # builds the parser
    began = time.process_time()
    assert accepted(body)
    assert time.process_time() - began < 5


# ---- the line of a field


BLUEPRINT = """local flow = require "flow"
local a = flow.process "checker" {
  argv = { "python3" },
  input = "json",
}
return flow.blueprint {
  id = "review",
  flow = flow.seq {
    flow.step { agent = a, out = "x" }, flow.step { agent = "b",
      retry = { max_attempts = 2 } },
    flow.loop {
      ["max"] = 3,
      run = flow.step {
        max = 1, agent = "c" },
    },
    flow.assign
      {
      at = "y" },
    flow.sleep(3), flow.step(x, { id = "z" }),
  },
}
"""


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        (2, "argv", 3),
        (2, "input", 4),
        (2, "id", None),
        (6, "id", 7),
        (6, "flow", 8),
        (6, "agent", None),  # belongs to tables inside
        (8, "agent", None),
        (9, "out", 9),
        (9, "retry", 10),  # of the second call on the line
        (9, "max_attempts", None),
        (11, "max", 12),
        (11, "run", 13),
        (13, "max", 14),
        (17, "at", 18),  # where the arguments begin
        (16, "at", 18),  # where the call begins
        (19, "id", 19),
        (99, "id", None),
    ],
)
def test_a_field_is_found_in_the_call_of_its_line(
    line: int, field: str, expected: int | None
) -> None:
    assert field_line(BLUEPRINT, line, field) == expected


def test_a_field_of_broken_source_is_not_found() -> None:
    assert field_line("return flow.step {", 1, "agent") is None


# ---- one grammar for expressions


def grammar(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text()


def defined(text: str) -> list[str]:
    return re.findall(r"^[?!]*([A-Za-z_]+)(?:\.-?\d+)?:", text, re.MULTILINE)


def test_no_rule_or_terminal_of_an_expression_stands_twice() -> None:
    lua, shared = grammar("swarm.lua", "lua.lark"), grammar("flowir", "grammar.lark")
    assert len(defined(lua)) > 10
    assert len(defined(shared)) > 50
    assert not set(defined(lua)) & set(defined(shared))
    assert re.findall(r"^%(?:override|extend)\s+(\S+):", lua, re.MULTILINE) == ["block"]


def test_no_spelling_of_a_terminal_stands_twice() -> None:
    spellings = re.compile(r"^[A-Z_]+(?:\.\d+)?: (\".*\"|/.*/)$", re.MULTILINE)
    lua, shared = grammar("swarm.lua", "lua.lark"), grammar("flowir", "grammar.lark")
    found = [*spellings.findall(lua), *spellings.findall(shared)]
    assert len(found) > 50
    assert len(found) == len(set(found))
    rules = re.sub(r"^[A-Z_]+(?:\.\d+)?:.*$|//.*$", "", lua, flags=re.MULTILINE)
    assert '"' not in rules  # no terminal without a name


def test_every_way_to_give_a_name_a_value_is_known() -> None:
    source = """
    local a, b <const> = 1
    c, d.e = 1, 2
    local function f(g, h) end
    function i.j(k) end
    for l = 1, 2 do end
    for m, n in o do end
    return function(p) return q end
    """
    assert bound_names(source) == set("abcfghiklmnp")


def test_a_field_is_found_with_what_it_is_given() -> None:
    found = field_at("return flow.step {\n  agent = who,\n}", 1, "agent")
    assert found is not None
    assert (found.line, found.value) == (2, fs.Name(2, 29, 32, "who"))
