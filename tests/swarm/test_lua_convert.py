from __future__ import annotations

import json
import marshal
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.lua import convert
from swarm.lua.convert import CannotEnter, decode, encode
from swarm.lua.sandbox import Sandbox
from swarm.lua.wire import Task, worker_fields
from swarm.ports.scripts import Script, ScriptLimits

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=5) | st.dictionaries(st.text(max_size=8), v, max_size=5)
)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


def run(sandbox: Sandbox, source: str, value: Any = None) -> Any:
    task = Task(encode(value), encode({}), (), 1)
    fields = worker_fields(Script("a.lua", source), task, ScriptLimits())
    assert sandbox.worker(*fields) is None
    turn = sandbox.step()
    sandbox.leave()
    told = decode(turn.payload)
    assert turn.kind == "done", told
    return told


def refusal(sandbox: Sandbox, source: str) -> str:
    task = Task(encode(None), encode({}), (), 1)
    fields = worker_fields(Script("a.lua", source), task, ScriptLimits())
    assert sandbox.worker(*fields) is None
    turn = sandbox.step()
    told = decode(turn.payload)
    sandbox.leave()
    assert turn.kind == "failed"
    assert told["kind"] == "result"
    return told["message"]


def written(value: Any) -> str:
    """Write as JSON: types count, and the sign of zero."""
    return json.dumps(value, sort_keys=True)


@given(value=VALUES)
@settings(max_examples=300, deadline=None)
def test_what_enters_is_what_marshal_writes_and_a_letter(value: Any) -> None:
    data = encode(value)
    assert written(marshal.loads(data[:-1])) == written(value)  # noqa: S302 - our own bytes
    assert data[-1:] == b"0"


@given(value=VALUES)
@settings(max_examples=300, deadline=None)
def test_every_value_survives_the_way_through_lua(sandbox: Sandbox, value: Any) -> None:
    assert written(run(sandbox, "return input", value)) == written(value)


@given(value=VALUES)
@settings(max_examples=100, deadline=None)
def test_every_value_survives_being_rebuilt_in_lua(sandbox: Sandbox, value: Any) -> None:
    copy = """
    local function copy(v)
      if type(v) ~= "table" or v == null then return v end
      local result = getmetatable(v) == "array" and array {} or {}
      for key, member in pairs(v) do result[key] = copy(member) end
      return result
    end
    return copy(input)
    """
    assert written(run(sandbox, copy, value)) == written(value)


def test_members_leave_in_one_order(sandbox: Sandbox) -> None:
    assert list(run(sandbox, "return { c = 1, a = 2, b = 3 }")) == ["a", "b", "c"]


def test_an_empty_table_is_an_object_and_an_empty_array_is_a_list(sandbox: Sandbox) -> None:
    assert run(sandbox, "return { a = {}, b = array {} }") == {"a": {}, "b": []}


def test_lists_that_came_in_stay_lists(sandbox: Sandbox) -> None:
    assert run(sandbox, "table.remove(input.a) return input", {"a": [1]}) == {"a": []}


def test_null_is_seen_as_null(sandbox: Sandbox) -> None:
    assert run(sandbox, "return input.a == null and input.b == nil", {"a": None}) is True


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "$ cannot enter Lua: the number nan is not finite"),
        ({"a": [0, {"b": math.inf}]}, "$.a[1].b cannot enter Lua: the number inf is not finite"),
        ([2**63], "$[0] cannot enter Lua: an integer of 64 bits (of 64)"),
        ({"a": (1,)}, "$.a cannot enter Lua: expected JSON, got a tuple"),
        ({"a": b"x"}, "$.a cannot enter Lua: expected JSON, got a bytes"),
        ({1: 2}, "$ cannot enter Lua: expected string keys, got 1"),
        ({"a b": "\ud800"}, "$['a b'] cannot enter Lua: a string with a lone surrogate"),
        ({"\ud800": 1}, "$['\\ud800'] cannot enter Lua: a string with a lone surrogate"),
    ],
)
def test_what_is_not_json_cannot_enter(value: Any, message: str) -> None:
    with pytest.raises(CannotEnter) as e:
        encode(value)
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ([], "$"),
        (["a_1", "1a", "a-b", ""], "$.a_1['1a']['a-b']['']"),
        (["k" * 40], f"$.{'k' * 40}"),
        (["k" * 41], f"$['{'k' * 38}…]"),
        (["é" * 38], f"$['{'é' * 38}']"),
        (["é" * 39], f"$['{'é' * 38}…]"),
        (["k"] * 12, "$" + ".k" * 12),
        (["k"] * 13, "$" + ".k" * 12 + "…"),
    ],
)
@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (-(2**63) - 1, "an integer of 64 bits (of 64)"),
        (2**70, "an integer of 71 bits (of 64)"),
        (object(), "expected JSON, got an object"),
        ({("k" * 50,): 1}, f"expected string keys, got ('{'k' * 37}…"),
        ("\udfff", "a string with a lone surrogate"),
    ],
)
def test_what_cannot_enter_is_told_with_a_place_that_can_be_read(
    keys: list[str], place: str, odd: Any, why: str
) -> None:
    value = odd
    for key in reversed(keys):
        value = {key: value}
    with pytest.raises(CannotEnter) as caught:
        encode(value)
    assert str(caught.value) == f"{place} cannot enter Lua: {why}"
    with pytest.raises(CannotEnter) as caught:
        encode([0, [value]])
    if len(keys) < 10:
        assert str(caught.value) == f"$[1][0]{place[1:]} cannot enter Lua: {why}"


def test_objects_are_nested_as_deep_as_lists() -> None:
    value: Any = 1
    for _ in range(128):
        value = {"k": value}
    encode(value)
    for deeper in ({"k": value}, [value]):
        with pytest.raises(CannotEnter, match="nested deeper than 128, or a cycle"):
            encode(deeper)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"1 2", "more than one value"),
        (b"[] ", "more than one value"),
        (b"NaN", "NaN and no text for it"),
        (b"[-Infinity]", "-Infinity and no text for it"),
        (b'"\\ud800"', "an escape of no control character"),
        (b'"\\n"', "an escape of no control character"),
        (b'["\\u000a","\\t"]', "an escape of no control character"),
        (b'["\\n",NaN]\xffa', "an escape of no control character"),
        (b"[NaN]\xffa\xff\xc3", None),
        (b"[\xc3]", "utf-8"),
        (b"", "Expecting value"),
    ],
)
def test_what_lua_would_not_write_is_refused(data: bytes, why: str | None) -> None:
    if why is None:
        # A text that nothing stands for is nobody's.
        assert decode(data) == ["a"]
        return
    with pytest.raises(ValueError, match=why):
        decode(data)


def test_integers_of_64_bits_enter(sandbox: Sandbox) -> None:
    edges = [2**63 - 1, -(2**63), 2**53 + 1]
    assert run(sandbox, "return input", edges) == edges


def test_depth_is_bounded_on_the_way_in() -> None:
    value: Any = 1
    for _ in range(128):
        value = [value]
    encode(value)
    with pytest.raises(CannotEnter, match="nested deeper than 128, or a cycle"):
        encode([value])


def test_a_cycle_cannot_enter() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CannotEnter, match="or a cycle"):
        encode(value)


def test_size_is_bounded_on_the_way_in() -> None:
    assert len(encode("x" * 94, max_bytes=100)) == 100
    with pytest.raises(CannotEnter, match="101 bytes, more than 100"):
        encode("x" * 95, max_bytes=100)


def test_depth_is_bounded_on_the_way_out(sandbox: Sandbox) -> None:
    nested = "local t = 1 for _ = 1, {} do t = array {{ t }} end return t"
    assert run(sandbox, nested.format(128)) is not None
    assert "nested deeper than 128" in refusal(sandbox, nested.format(129))


def test_the_number_of_values_is_bounded_on_the_way_out(sandbox: Sandbox) -> None:
    many = "local t = {{}} for i = 1, {} do t[i] = true end return t"
    assert len(run(sandbox, many.format(99_999))) == 99_999
    assert refusal(sandbox, many.format(100_000)).endswith("more than 100000 values")


def test_the_size_is_bounded_on_the_way_out(sandbox: Sandbox) -> None:
    assert len(run(sandbox, "return string.rep('x', 2097152 - 8)")) == 2_097_144
    assert refusal(sandbox, "return string.rep('x', 2097153)").endswith("more than 2097152 bytes")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("return { a = { 1, 2, { b = 0/0 } } }", "value.a[3].b cannot leave Lua: the number nan"),
        ("return { ['a b'] = pcall }", 'value["a b"] cannot leave Lua: a function'),
        ("return { [1.5] = 1 }", "value cannot leave Lua: an object with the key 1.5"),
        ("return { 1, 2, x = 1 }", 'value cannot leave Lua: a list that also has the key "x"'),
        ("return array { [3] = 1 }", "value cannot leave Lua: a list with holes"),
        ("return { 'a', '\\xff' }", "value[2] cannot leave Lua: a string that is not valid UTF-8"),
    ],
)
def test_what_cannot_leave_is_named_by_its_path(
    sandbox: Sandbox, source: str, message: str
) -> None:
    assert refusal(sandbox, source).startswith(message)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (
            "{ 1, zeta = 1, alpha = pcall, mid = 2, [true] = 3 }",
            'a list that also has the key "alpha"',
        ),
        ("{ [1] = pcall, c = 1, [{}] = 2 }", 'a list that also has the key "c"'),
        ("{ [false] = 1, [2.5] = 2, [true] = 3, [-1] = 4 }", "an object with the key -1"),
        ("{ [pcall] = 1, [{}] = 2 }", "an object with the key of type function"),
        ("{ [4] = pcall, [2] = 1, [1] = 1 }", "a list with holes"),
    ],
)
def test_which_fault_is_named_is_the_same_in_every_runtime(source: str, named: str) -> None:
    """Each hashes texts by a seed of its own, and so goes over a table in another order."""
    told = {refusal(Sandbox(), f"return {source}") for _ in range(16)}
    assert len(told) == 1
    assert f"value cannot leave Lua: {named}" in told.pop()


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"N0"),
        ([True, False], b"[\2\0\0\0TF0"),
        (2**31 - 1, b"i\xff\xff\xff\x7f0"),
        (-(2**31) - 1, b"l\xfd\xff\xff\xff\1\0\0\0\2\x000"),
        (0.5, b"g\0\0\0\0\0\0\xe0?0"),
        ({"é": []}, b"{u\2\0\0\0\xc3\xa9[\0\0\0\x0000"),
    ],
)
def test_the_letters_are_those_that_lua_reads(value: Any, data: bytes) -> None:
    """A Python whose marshal writes another form would have to be told here."""
    assert encode(value) == data


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("null", b"null"),
        ("{ a = 'x', b = { 'y', true } }", b'{"a":NaN,"b":[NaN,true]}\xffx\xffy'),
        ("{ a = '', b = array {}, c = {} }", b'{"a":NaN,"b":[],"c":{}}\xff'),
        ("{ ['\"\\\\\\n\\127'] = -0.0 }", b'{"\\u0022\\u005c\\u000a\\u007f":-0.0}'),
        ("{ 1e15, 1e300, 0.1, math.mininteger }", b"[%s,%s,0.1%s,%d]"),
    ],
)
def test_what_leaves_is_json_with_its_texts_behind(
    sandbox: Sandbox, source: str, data: bytes
) -> None:
    if b"%" in data:
        data %= (b"1000000000000000.0", b"1.0000000000000001e+300", b"0000000000000001", -(2**63))
    task = Task(encode(None), encode({}), (), 1)
    fields = worker_fields(Script("a.lua", f"return {source}"), task, ScriptLimits())
    assert sandbox.worker(*fields) is None
    assert sandbox.step().payload == data
    sandbox.leave()


ALIKE = st.dictionaries(st.sampled_from(["a", "b", "c", "d" * 41, 'e"']), SCALARS, max_size=5)


@given(value=st.lists(ALIKE, min_size=2, max_size=8))
@settings(max_examples=300, deadline=None)
def test_objects_beside_each_other_keep_their_own_keys(sandbox: Sandbox, value: Any) -> None:
    assert written(run(sandbox, "return input", value)) == written(value)
    assert [list(one) for one in run(sandbox, "return input", value)] == [*map(sorted, value)]


def test_more_keys_than_are_kept_leave_as_well(sandbox: Sandbox) -> None:
    value = {f"key {number}": {f"of {number}": number} for number in range(1000)}
    assert run(sandbox, "return input", value) == value
    assert run(sandbox, "return { input, input }", value) == [value, value]


@pytest.mark.parametrize("key", ["k" * 41, 'é"' * 4095, "\0" * 4097, "\\x" * 50_000])
def test_long_keys_leave_as_well(sandbox: Sandbox, key: str) -> None:
    assert run(sandbox, "return { [input] = { [input] = 'x' } }", key) == {key: {key: "x"}}


def test_what_is_much_longer_as_it_is_written_does_not_leave(sandbox: Sandbox) -> None:
    size = 2 * 2**21 // 6
    assert len(run(sandbox, f"return {{ [('\\1'):rep({size} - 8)] = 1 }}")) == 1
    told = refusal(sandbox, f"return {{ [('\\1'):rep({size} + 8)] = 1 }}")
    assert told == "value cannot leave Lua: more than 2097152 bytes"


def test_where_half_a_pair_may_stand_but_does_not_all_enters(sandbox: Sandbox) -> None:
    value = {"텍스트": ["\ud7ff", 0xA0ED, "íì"], "number": 0xA0ED}
    assert run(sandbox, "return input", value) == value


def test_one_after_another_is_read_after_what_was_none() -> None:
    for damaged in (b"[NaN,NaN]\xffa", b"NaN\xff\xc3", b"[NaN\xffa\xffb"):
        with pytest.raises((ValueError, LookupError)):
            decode(damaged)
        assert decode(b'{"k":[NaN,1,NaN]}\xffa\xffb') == {"k": ["a", 1, "b"]}


def test_threads_read_what_is_theirs() -> None:
    def read(name: str) -> bool:
        texts = [f"{name} {number}" for number in range(500)]
        data = ("[" + ",".join(["NaN"] * 500) + "]").encode()
        data += b"".join(b"\xff" + text.encode() for text in texts)
        return all(decode(data) == texts for _ in range(50))

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(read, "abcd"))
    finally:
        sys.setswitchinterval(switch)


def test_a_reader_serves_again_and_one_that_failed_does_not() -> None:
    convert._READERS.clear()  # pyright: ignore[reportPrivateUsage]
    for _ in range(2):
        assert decode(b"[NaN]\xffa") == ["a"]
        assert len(convert._READERS) == 1  # pyright: ignore[reportPrivateUsage]
    with pytest.raises((ValueError, LookupError)):
        decode(b"[NaN,NaN]\xffa")
    assert convert._READERS == []  # pyright: ignore[reportPrivateUsage]
