"""What comes from outside and means harm: 70 rows, each through every entry it concerns.

Each hostile text is refused by an error of ours, in one sentence that says what was wrong,
and takes little memory; the same with one change enters. Where the language decides
otherwise than one would guess, the row says so.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
from hypothesis import given, settings

import flowir
import swarm
from flowir.door import admit, parse_json
from flowir.errors import FlowError
from swarm.blueprint.agent_file import AgentFileRefused, read_agent_file
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.document import admit_document, read_json, read_yaml
from swarm.blueprint.patches import applied
from swarm.cli.inputs import edits, read_value
from swarm.errors import SwarmError
from swarm.lua.convert import decode, encode
from swarm.lua.runner import InlineScripts
from swarm.lua.seat import Seat
from swarm.lua.wire import Task, worker_fields
from swarm.ports.scripts import Script, ScriptLimits
from tests.flowir.strategies import json_values

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024
GROWTH = 64 * MEBIBYTE
HANG_S = 120
TYPED = (FlowError, SwarmError, AgentFileRefused, click.ClickException)

Act = Callable[[Any], Any]


# --- the entries ---------------------------------------------------------------------


def as_literal(text: str | bytes) -> Any:
    """Enter as a literal of a flow, as text."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    head = b'{"kind":"let","at":"$.x","value":{"op":"lit","value":'
    flow = flowir.load(head + data + b"}}")
    return flowir.run(flow, {}, nobody)["x"]


def as_document(text: str | bytes) -> Any:
    """Enter in a blueprint's document."""
    if isinstance(text, bytes):
        return as_file(b'{"extra": ' + text + b"}")["extra"]
    return read_json('{"extra": ' + text + "}").document["extra"]


def as_file(data: bytes) -> Any:
    try:
        return read_json(data.decode()).document
    except UnicodeDecodeError as e:  # as swarm.compiler.source says it, with the file's name
        raise SwarmError("document.encoding", f"expected UTF-8, got {e}") from None


def as_input(text: str | bytes) -> Any:
    """Enter by the command line: `--input`, or a file where it is bytes."""
    return read_value(text) if isinstance(text, str) else parse_json(text, at="--input -")


def as_setting(text: str | bytes) -> Any:
    """Enter by `--set x=…`, where what is not JSON is a string."""
    if isinstance(text, bytes):
        return parse_json(text)
    value = edits([f"x={text}"])["$.x"]
    if value == text:
        raise FlowError("malformed", "expected JSON, got a string: " + repr(refusal(text)))
    return value


def refusal(text: str) -> str:
    try:
        return str(parse_json(text))
    except FlowError as e:
        return str(e)


def as_extern(text: str | bytes) -> Any:
    """Enter by `json.decode` of a flow."""
    said = text if isinstance(text, str) else text.decode("latin-1")
    if isinstance(text, bytes):
        return parse_json(text)
    return flowir.evaluate("json.decode(ctx.s)", {"s": said})


def as_yaml(text: str) -> Any:
    return read_yaml(text).document


def as_front(text: str) -> Any:
    """Enter as the front matter of an agent's file."""
    body = text if text.endswith("\n") else text + "\n"
    return read_agent_file(f"---\n{body}---\nDo it.\n").front


def as_flow(document: Any) -> Any:
    """Enter as a flow and run it."""
    ctx = {"n": 1, "s": "text", "big": {}, "list": [1, 2, 3], "o": {"a": {"b": 1}}}
    return flowir.run(flowir.load(document), ctx, nobody, fuel=50_000)


def through_lua(value: Any) -> Any:
    """Enter as the input of a script, which returns it."""
    task = Task(encode(value), encode({}), (), 1)
    turn = Seat().worker(*worker_fields(Script("a.lua", "return input"), task, ScriptLimits()))
    assert turn.kind == "done"
    return decode(turn.payload)


def as_value(value: Any) -> Any:
    """Enter as a Python object: a worker's answer, a document, what Lua is handed."""
    entered, in_document = admit(value), admit_document({"v": value}).document["v"]
    assert repr(in_document) == repr(entered)
    # Members leave Lua in order.
    returned = json.dumps(through_lua(value), sort_keys=True)
    assert returned == json.dumps(entered, sort_keys=True)
    return entered


def as_blueprint(fields: Any) -> Any:
    """Enter as the document of a blueprint, and be compiled."""
    return compiled({"swarm": 1, "id": "good", "flow": seq(), **fields})


def as_agent(name: str) -> Any:
    flow = {"kind": "step", "ref": name, "in": lit(1), "out": "$.x"}
    return as_blueprint({"agents": [{**SHOUT, "name": name}], "flow": flow})


def as_patched(operations: Any) -> Any:
    """Enter as a patch of a blueprint, whose result is compiled."""
    return compiled(applied({"swarm": 1, "id": "good", "agents": [], "flow": seq()}, operations))


def compiled(document: Any) -> Any:
    async def load() -> Any:
        async with swarm.Host.in_memory() as host:
            return (await host.load(document)).id

    return anyio.run(load)


def as_patch(operations: Any) -> Any:
    return applied(DOCUMENT, operations)


def nobody(ref: str, input: Any) -> Any:
    return {"ref": ref, "input": input}


JSON: tuple[Act, ...] = (as_literal, as_document, as_input, as_setting, as_extern)
YAML: tuple[Act, ...] = (as_yaml, as_front)
FLOW: tuple[Act, ...] = (as_flow,)
PATCH: tuple[Act, ...] = (as_patch,)
VALUE: tuple[Act, ...] = (as_value,)

DOCUMENT = {"a": [1, 2, 3], "o": {"x": 1, "y": {"z": [True]}}, "t": "text", "big": "x" * 1000}


# --- the rows ------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One row: what is refused, saying what; its twins that enter; and why, if not plain."""

    number: int
    entries: tuple[Act, ...]
    hostile: tuple[Any, ...]
    says: str
    twins: tuple[Any, ...]
    note: str = ""


def lists(levels: int) -> str:
    return "[" * levels + "]" * levels


def objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def mixed(levels: int) -> str:
    return '[{"a":' * (levels // 2) + "1" + "}]" * (levels // 2)


def let(value: Any, at: str = "$.x") -> dict[str, Any]:
    return {"kind": "let", "at": at, "value": value}


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def path(at: str) -> dict[str, Any]:
    return {"op": "path", "at": at}


def seq(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def branch(cond: Any) -> dict[str, Any]:
    return {"kind": "branch", "cond": cond, "then": seq(let(lit(1)))}


def loop(max: Any, body: Any = None) -> dict[str, Any]:
    return {"kind": "loop", "counter": "$.i", "max": max, "body": body or seq(), "cond": lit(True)}


def fanout(items: Any, body: Any = None) -> dict[str, Any]:
    return {
        "kind": "fanout", "items": items, "bind": "$.item", "out": "$.out", "join": "all",
        "body": body or seq(), "collect": path("$.item"),
    }  # fmt: skip


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = seq(inner)
    return inner


def op(name: str, at: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": at, **{key.rstrip("_"): value for key, value in more.items()}}


def negated(levels: int) -> Any:
    expr: Any = lit(True)
    for _ in range(levels):
        expr = {"op": "not", "arg": expr}
    return expr


CHANGE = op("replace", "/t", value="u")

SHOUT = {"name": "a", "kind": "lua", "source": "return 1"}
STEP = {"kind": "step", "ref": "a", "in": lit(1), "out": "$.x"}


def bomb(levels: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(levels):
        schema = {"anyOf": [schema, schema]}
    return schema


ROWS = [
    Row(
        1,
        JSON,
        (lists(400), objects(400), mixed(400)),
        "levels|deep|at most",
        (lists(120), objects(120), mixed(120)),
        "the language has 128 levels, not 64",
    ),
    Row(2, JSON, ("[" * 1_000_000,), "deep|levels|at most", ("[" * 20 + "]" * 20,)),
    Row(
        3,
        (as_literal, as_document),
        ('"' + "x" * (4 * MEBIBYTE) + '"',),
        "at most 4194304",
        ('"' + "x" * (4 * MEBIBYTE - 100) + '"',),
        "a document has 4 MiB, a value 16",
    ),
    Row(
        4,
        (as_literal, as_document),
        ("[" + "[]," * 300_001 + "0]",),
        "at most 300000 arrays",
        ("[" + "[]," * 30_000 + "0]",),
        "a document has 100,000 nodes, in 300,000 containers",
    ),
    Row(
        5,
        JSON,
        ("[" + "[]," * 1_000_001 + "0]",),
        "at most (1000000|300000) arrays",
        ("{" + ",".join(f'"{i}":0' for i in range(5000)) + "}",),
    ),
    Row(
        6,
        (as_flow,),
        (let(lit(1), "$." + "k" * 5000 + "["), let(lit(1), "$.['']x"), let(lit(1), "$.")),
        "path",
        (let(lit(1), "$.k"),),
        "a key may have any length, a path is parsed whole",
    ),
    Row(
        7,
        JSON,
        ('{"a":1,"a":2}', '{"o":{"b":[{"a":1,"c":2,"a":1}]}}'),
        "'a' twice",
        ('{"a":1,"A":2}',),
    ),
    Row(8, JSON, ('{"a":1,"\\u0061":2}',), "'a' twice", ('{"a":1,"\\u0062":2}',)),
    Row(9, JSON, ("NaN", "[Infinity]", '{"a":-Infinity}'), "finite|got a string", ("[null]",)),
    Row(10, JSON, ("1e400", "[-1e400]"), "finite", ("1e-400", "1e308"), "1e-400 is 0.0"),
    Row(11, JSON, ("9" * 5000, "[" + "9" * 1_000_000 + "]"), "64 bit", ("9" * 18,)),
    Row(
        12,
        JSON,
        (str(2**63), str(2**64), str(-(2**63) - 1)),
        "64 bit",
        (str(2**63 - 1), str(-(2**63))),
    ),
    Row(
        16,
        JSON,
        ('"\\ud800"', '"\\udc00\\ud800"', '{"\\ud800":1}'),
        "surrogate",
        ('"\\ud83d\\ude00"',),
    ),
    Row(
        17,
        JSON,
        (
            b'"\xff"',
            b'"\xc0\xaf"',
            b'\xef\xbb\xbf"a"',
            '"a"'.encode("utf-16"),
            '"a"'.encode("utf-32"),
        ),
        "UTF-8|expected JSON|BOM",
        ('"é"'.encode(),),
    ),
    Row(
        19,
        JSON,
        ('"a\x01b"', '"a\rb"', '"a\nb"', "\x0b1"),
        "control|expect",
        ("[1,\r2]",),
        "a lone CR between values is white space in JSON",
    ),
    Row(
        20,
        JSON,
        (
            "1 2",
            "{} {}",
            "[1] // no",
            "[1,]",
            "['a']",
            "{a:1}",
            "/* */ 1",
            "01",
            "+1",
            ".5",
            "1.",
            "0x1",
            "tru",
            "",
        ),
        "expect",
        ("[1]", "0", "0.5"),
    ),
    Row(
        21,
        (as_agent,),
        ("é", "é", "a\u200bb", "\u202ea", "\u0430gent"),
        "A-Z, a-z, 0-9",
        ("agent",),
    ),
    Row(
        22,
        VALUE,
        ({"a": object()}, {1: 2}, (1,), {"__class__": {1}}),
        "expected",
        ({"__proto__": 1, "__class__": 2, "__index": 3, "__gc": 4, "constructor": 5, "_G": 6},),
        "such keys are data; they are no attribute and no metatable",
    ),
    Row(
        23,
        FLOW,
        tuple(
            let(path(at))
            for at in ("$..", "$.a[", "$.a[x]", "$a", "$.a[1.5]", "$.a[99999999999999999999]", "")
        ),
        "path",
        (let(path("$.list[-1]")), let(path("$.o.a"))),
        "negative indexes count from the end",
    ),
    Row(
        24,
        FLOW,
        (let(lit(1), "$.s.x"), let(lit(1), "$.n[0]")),
        "expected",
        (let(lit({"all": "new"}), "$"), let(path("$.o"), "$.o.a.copy")),
        "writing $ is legal",
    ),
    Row(
        25,
        FLOW,
        (let(lit(1), "$.list[1000000000]"), let(lit(1), "$.new[1000000000]")),
        "expected|index",
        (let(lit(1), "$.list[3]"),),
    ),
    Row(
        26,
        FLOW,
        (),
        "",
        (let(lit(1), "$.error"), let(lit(1), "$.run_id")),
        "no key is reserved: all of the context is the author's",
    ),
    Row(
        27,
        FLOW,
        (
            {"kind": "Seq", "children": []},
            {"children": []},
            {"kind": "zip"},
            [],
            5,
            {"kind": ["seq"]},
        ),
        "expected",
        (seq(),),
    ),
    Row(28, FLOW, ({**seq(), "childs": []}, {**let(lit(1)), "extra": 1}), "childs|extra", (seq(),)),
    Row(
        29,
        (as_blueprint,),
        (
            {"agents": [], "flow": {"kind": "step", "ref": "a", "in": lit(1), "out": "$.x"}},
            {"agents": [{"name": "a", "kind": "nothing"}]},
            {"agents": [{"name": "a", "kind": "flow", "blueprint": "no-such"}], "flow": STEP},
        ),
        "expected",
        ({"agents": [SHOUT], "flow": STEP},),
    ),
    Row(
        30,
        FLOW,
        (seq(*[seq()] * 100_001),),
        "100000",
        (seq(), seq(*[seq()] * 1000)),
        "100,000 nodes are legal",
    ),
    Row(
        31,
        FLOW,
        tuple(branch(lit(value)) for value in ("false", 0, "", None, [])),
        "boolean",
        (branch(lit(False)), branch(lit(True))),
    ),
    Row(
        32,
        FLOW,
        tuple(loop(value) for value in (-1, "10", None, True, 10**18, 1.5)),
        "max|integer|expected",
        (loop(0), loop(3)),
        "max = 0 is legal",
    ),
    Row(
        33,
        FLOW,
        (loop(10_000, loop(10_000, loop(10_000))),),
        "fuel",
        (loop(10, loop(10)),),
        "the fuel of a run stops it",
    ),
    Row(
        34,
        FLOW,
        (fanout(lit("text")), fanout(lit({"a": 1})), fanout(lit(None)), fanout(lit(3))),
        "array",
        (fanout(lit([1, 2])),),
        "100,000 lanes are legal",
    ),
    Row(
        35,
        FLOW,
        (fanout({"op": "call", "name": "range", "args": [lit(0), lit(100_001)]}),),
        "lanes|unknown|extern|expected",
        (fanout(lit(list(range(100)))),),
    ),
    Row(
        36,
        FLOW,
        (),
        "",
        (fanout(lit([1, 2]), let(path("$.item"), "$.same")),),
        "a lane writes into its own context: nothing collides",
    ),
    Row(37, FLOW, (nested(200, seq()),), "128|deep", (nested(100, seq()),)),
    Row(
        38,
        FLOW,
        ({"kind": "try", "body": loop(10_000_000), "catch": let(lit(1))},),
        "fuel",
        ({"kind": "try", "body": let(path("$.none")), "catch": let(lit(1))},),
    ),
    Row(
        39,
        FLOW,
        (let(negated(100)), let({"op": "match", "lhs": lit("a"), "rhs": lit("(a+)+$")})),
        "64|op|deep",
        (let(negated(50)),),
        "there is no regex operator",
    ),
    Row(
        40,
        FLOW,
        (
            let({"op": "div", "lhs": lit(1), "rhs": lit(0)}),
            let({"op": "mod", "lhs": lit(1), "rhs": lit(0)}),
            let({"op": "mul", "lhs": lit(2**62), "rhs": lit(4)}),
            let({"op": "mul", "lhs": lit("x"), "rhs": lit(10**9)}),
        ),
        "zero|64 bit|overflow|number|integer",
        (let({"op": "div", "lhs": lit(1), "rhs": lit(2)}),),
    ),
    Row(
        41,
        FLOW,
        (),
        "",
        (let(lit("{input} {agent} {{input}}")),),
        "the language expands nothing; a program's words are filled in once, each by itself",
    ),
    Row(
        43,
        (as_blueprint,),
        tuple(
            {"inputs": schema}
            for schema in (
                {"$ref": "http://x.org/s"},
                {"$ref": "file:///etc/passwd"},
                {"$ref": "#/a", "a": {"$ref": "#/a"}},
            )
        ),
        "ref|expected",
        ({"inputs": {"type": "object"}},),
    ),
    Row(
        44,
        (as_blueprint,),
        ({"inputs": bomb(20)}, {"inputs": {"properties": {"a": {"pattern": "(a+)+$"}}}}),
        "expected",
        ({"inputs": {"properties": {"a": {"anyOf": [{"type": "null"}]}}}},),
    ),
    Row(45, YAML, ("a: &x [1,1]\nb: [*x,*x]", "a: *x"), "alias|anchor", ("a: [1,1]\nb: [1,1]",)),
    Row(46, YAML, ("a: &a [*a]", "<<: {a: 1}", "a: &x 1"), "alias|anchor|merge", ('"<<": {a: 1}',)),
    Row(
        47,
        YAML,
        (
            "a: !!python/object/apply:os.system ['id']",
            "a: !!binary aGk=",
            "a: !!timestamp 2001-01-01",
            "a: !mine 1",
            "a: !!str 1",
        ),
        "tag",
        ("a: '!mine 1'",),
    ),
    Row(
        48,
        YAML,
        ("a: 1_000: 2\nb", "a:\n", "1: 2", "true: 1", "null: 1"),
        "expected",
        ("a: [no, on, 014, 12:30:45, 2001-01-01, .inf, 1_000, ~, 0o7, 0x1, .nan, 1e3]",),
    ),
    Row(
        49,
        YAML,
        ("a: 1\na: 2", "? [a]\n: 1", "1.5: a", "a: 1\n...\nb: 2\n"),
        "once|key|second|expected",
        ("a: 1\nb: 2",),
    ),
    Row(
        50,
        (as_yaml,),
        ("[" * 5000, "? " * 20_000, "- " * 5000, "{a: " * 5000),
        "levels|deep|expected",
        ("- - - 1",),
    ),
    Row(
        51,
        YAML,
        ("\ta: 1", "a: 'x", "a: \x01", "a: \ufeff\x00", "x" * 300_000),
        "expected",
        ("a: b",),
    ),
    Row(
        52,
        PATCH,
        ([CHANGE] * 65, [op("add", "/x", value="x" * 64 * 1024)]),
        "at most",
        ([op("add", f"/x{n}", value=n) for n in range(64)],),
    ),
    Row(
        53,
        PATCH,
        ([op("replace", "", value={})], [op("remove", "")], [op("test", "", value=1)]),
        "below the document",
        ([CHANGE],),
    ),
    Row(
        54,
        PATCH,
        tuple(
            [op("remove", f"/a/{index}")]
            for index in (
                "-1",
                "00",
                "01",
                "+1",
                "1e0",
                " 0",
                "0x1",
                "\u0661",
                "99999999999",
                "1.0",
                "",
            )
        ),
        "no item",
        ([op("remove", "/a/0")],),
    ),
    Row(
        55,
        PATCH,
        (
            [op("remove", "/a/-")],
            [op("replace", "/a/-", value=1)],
            [op("test", "/a/-", value=1)],
            [op("copy", "/x", from_="/a/-")],
        ),
        "no item",
        ([op("add", "/a/-", value=4)],),
    ),
    Row(
        56,
        PATCH,
        ([op("replace", "/no", value=1)], [op("remove", "/o/no")]),
        "no member",
        ([op("remove", "/o/x")],),
    ),
    Row(
        57,
        PATCH,
        ([op("move", "/o/y/w", from_="/o")], [op("move", "/t", from_="/t")]),
        "outside|change",
        ([op("move", "/w", from_="/o/y")], [op("move", "/t", from_="/t"), CHANGE]),
        "a move onto itself changes nothing: alone it is no patch",
    ),
    Row(
        58,
        PATCH,
        (
            [op("copy", f"/x{n + 1}", from_=f"/x{n}" if n else "/big") for n in range(1)]
            + [op("add", "/l", value=[]), *(op("copy", "/l/-", from_="/l") for _ in range(60))],
        ),
        "at most|holds|outside",
        ([op("copy", "/x", from_="/big")],),
    ),
    Row(
        59,
        PATCH,
        ([op("copy", "/o/y/w", from_="/o")], [op("copy", "/x", from_="")]),
        "outside|below",
        ([op("copy", "/w", from_="/o")],),
    ),
    Row(
        60,
        PATCH,
        ([op("test", "/o/x", value=True), CHANGE], [op("test", "/t", value="x"), CHANGE]),
        "found",
        ([op("test", "/o", value={"y": {"z": [True]}, "x": 1.0}), CHANGE],),
        "1 and 1.0 are equal in the language, true and 1 are not",
    ),
    Row(
        61,
        PATCH,
        tuple([op("remove", at)] for at in ("/~2", "/~", "a", "#/a", "/o//", "/o/x~")),
        "pointer|no member|below",
        ([op("add", "/a~1b", value=1)], [op("add", "/~0", value=1)]),
    ),
    Row(
        62,
        PATCH,
        (
            [op("ADD", "/x", value=1)],
            [op("add", "/x")],
            [op("add", "/x", value=1, y=2)],
            [{"op": "remove"}],
            [{"path": "/t"}],
            ["remove"],
        ),
        "op|members",
        ([op("add", "/x", value=None)],),
    ),
    Row(
        63,
        PATCH,
        ([CHANGE, op("remove", "/a/0"), op("remove", "/no")],),
        r"patch\[2\]",
        ([CHANGE],),
    ),
    Row(
        64,
        PATCH,
        ([op("add", "/t/0", value=1)], [op("add", "/a/0/x", value=1)]),
        "nothing can be",
        ([op("add", "/o/x2", value=1)],),
    ),
    Row(
        66,
        PATCH,
        ([op("add", "/x", value=json.loads(lists(330)))],),
        "levels",
        ([op("add", "/x", value=json.loads(lists(100)))],),
        "320 levels of a document, not 33",
    ),
    Row(
        67,
        (as_patched,),
        (
            [op("replace", "/flow", value={"kind": "sec"})],
            [op("remove", "/flow")],
            [op("add", "/flo", value=1)],
        ),
        "expected",
        ([op("add", "/description", value="better")],),
    ),
    Row(
        68,
        PATCH,
        ([op("test", "/t", value="text")], [op("replace", "/t", value="text")]),
        "change",
        ([CHANGE],),
    ),
    Row(
        69,
        PATCH,
        ([op("test", "/t", value="u"), CHANGE],),
        "found",
        ([op("test", "/t", value="text"), CHANGE],),
        "what it was made for is there no more",
    ),
]

# Rows that are no single text: the test that holds each.
OTHERS = {
    13: "test_numbers_and_texts_are_kept_exactly",
    14: "test_numbers_and_texts_are_kept_exactly",
    15: "test_numbers_and_texts_are_kept_exactly",
    18: "test_a_zero_is_kept_in_values_and_refused_in_ids",
    42: "test_a_large_text_through_every_node_takes_no_memory",
    65: "test_what_is_empty_is_the_same_behind_lua",
    70: "test_documents_load_and_print_the_same",
}


@contextmanager
def watched() -> Generator[None]:
    """Fail what hangs; how long it took is not judged."""

    def hangs(_signal: int, _frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(act: Act, given: Any) -> str | None:
    """Return the sentence with which it was refused, or None."""
    try:
        act(given)
    except TYPED as e:
        return e.format_message() if isinstance(e, click.ClickException) else str(e)
    return None


def attacked(row: Row, entries: tuple[Act, ...] | None = None) -> list[str]:
    """Return what is wrong: hostile items that entered, sentences that do not say why."""
    wrong: list[str] = []
    for act in entries or row.entries:
        for number, item in enumerate(row.hostile):
            if isinstance(item, str) and act is as_front and len(item) > 32_000:
                continue
            said = refused(act, item)
            if said is None:
                wrong.append(f"{act.__name__} let in {number}")
            elif not re.search(row.says, said) or len(said) > 4000:
                wrong.append(f"{act.__name__} {number}: {said[:300]}")
    return wrong


@pytest.mark.parametrize("row", ROWS, ids=[f"G{row.number}" for row in ROWS])
def test_what_is_hostile_is_refused_in_a_sentence(row: Row) -> None:
    with watched():
        wrong = attacked(row)
    tried = len(row.hostile) * len(row.entries)
    COUNTED[0] += tried - len(wrong)
    COUNTED[1] += tried
    assert wrong == []


@pytest.mark.parametrize("row", ROWS, ids=[f"G{row.number}" for row in ROWS])
def test_its_twin_enters(row: Row) -> None:
    assert row.twins
    with watched():
        for act in row.entries:
            for twin in row.twins:
                act(twin)


COUNTED = [0, 0]  # survived, tried
GREEDY = [row for row in ROWS if row.number in (2, 3, 4, 5, 11, 52, 58)]


@pytest.mark.parametrize("row", GREEDY, ids=[f"G{row.number}" for row in GREEDY])
def test_what_is_refused_takes_little_memory(row: Row) -> None:
    for act in row.entries[:2]:
        for item in row.hostile:
            tracemalloc.start()
            try:
                refused(act, item)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < GROWTH, act.__name__


def test_a_door_that_lets_keys_come_twice_turns_it_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowir.door._object", dict)
    row = next(row for row in ROWS if row.number == 7)
    assert len(attacked(row)) == len(row.entries) * len(row.hostile)


@pytest.mark.parametrize(
    "text",
    ["9007199254740993", "-9223372036854775808", "0.1", "1.0", "-0.0", "1e22", "5e-324", '"a"'],
)
async def test_numbers_and_texts_are_kept_exactly(text: str) -> None:
    value = json.loads(text)
    for act in JSON:
        assert repr(act(text)) == repr(value)
    script = Script("a.lua", "return input")
    assert repr(await InlineScripts().run(script, value)) == repr(value)
    assert canonical_bytes(parse_json(text)) == text.replace("1e22", "1e+22").encode()


def test_forty_digits_are_the_shortest_that_read_back() -> None:
    assert canonical_bytes(parse_json("0." + "1" + "0" * 38 + "1")) == b"0.1"
    assert canonical_bytes(parse_json("-0")) == b"0"


def test_a_zero_is_kept_in_values_and_refused_in_ids() -> None:
    assert [act('"a\\u0000b"') for act in JSON] == ["a\0b"] * len(JSON)
    said = refused(as_blueprint, {"id": "a\0b"})
    assert said is not None
    assert "id" in said


def test_a_large_text_through_every_node_takes_no_memory() -> None:
    text = "x" * (2 * MEBIBYTE)
    flow = flowir.load(seq(*(let(path("$.big"), f"$.v{n}") for n in range(5))))
    step = flowir.load(STEP)
    tracemalloc.start()
    try:
        ctx = flowir.run(flow, {"big": text}, nobody)
        flowir.run(step, ctx, nobody)
        assert tracemalloc.get_traced_memory()[1] < GROWTH
    finally:
        tracemalloc.stop()


async def test_what_is_empty_is_the_same_behind_lua() -> None:
    value = {"list": [], "object": {}, "lists": [[], {}], "null": None}
    assert await InlineScripts().run(Script("a.lua", "return input"), value) == value


@settings(max_examples=int(os.environ.get("SWARM_DOCUMENTS", "300")), deadline=None)
@given(json_values)
def test_documents_load_and_print_the_same(value: Any) -> None:
    printed = canonical_bytes(admit(value))
    again = parse_json(printed)
    assert canonical_bytes(again) == printed
    assert repr(again) == repr(json.loads(printed))
    assert canonical_bytes(through_lua(again)) == printed


_HASHED = """
import hashlib, json, random
from flowir.door import admit, parse_json
from swarm.blueprint.canonical import canonical_bytes
chance, total = random.Random(7), hashlib.sha256()
def value(depth):
    kind = chance.randrange(8 if depth < 4 else 6)
    if kind < 6:
        number = chance.randint(-2**63, 2**63 - 1)
        return [None, True, number, chance.uniform(-1e9, 1e9), "é" * kind, ""][kind]
    made = [value(depth + 1) for _ in range(chance.randrange(5))]
    if kind == 6:
        return made
    return {chance.choice("abcdefé") + str(n): one for n, one in enumerate(made)}
for _ in range(2000):
    document = value(0)
    members = list(document.items()) if isinstance(document, dict) else []
    shuffled = dict(sorted(members, key=lambda member: hash(member[0]))) if members else document
    printed = canonical_bytes(admit(shuffled))
    assert canonical_bytes(parse_json(printed)) == printed
    total.update(printed)
print(total.hexdigest())
"""


def test_documents_have_one_hash_in_every_process_and_under_every_hash_seed() -> None:
    told = {
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _HASHED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2147483648")
    }
    assert len(told) == 1


def test_every_row_is_there() -> None:
    assert sorted([*(row.number for row in ROWS), *OTHERS]) == list(range(1, 71))
    assert all(name in globals() for name in OTHERS.values())
    twins = sum(len(row.twins) * len(row.entries) for row in ROWS)
    sys.stdout.write(f"survived {COUNTED[0]} / {COUNTED[1]}, {twins} harmless twins\n")
