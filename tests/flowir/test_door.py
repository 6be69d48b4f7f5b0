"""The door: judged by `json.loads` on what is valid, by a table on what is refused."""

from __future__ import annotations

import copy
import enum
import json
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowir.door import admit, admit_measured, parse_json
from flowir.errors import FlowError, Malformed
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN, Limits
from flowir.values import measure
from tests.flowir.strategies import json_values
from tests.flowir.written import deep

JSON = Any


class _Word(enum.StrEnum):
    A = "a"


# --- values --------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_a_value_enters_as_an_equal_private_copy(value: JSON) -> None:
    before = copy.deepcopy(value)
    ours, size, depth = admit_measured(value)
    assert repr(ours) == repr(before)
    assert (size, depth) == measure(value)
    if isinstance(ours, (dict, list)):
        assert ours is not value
        ours.clear()
    assert repr(value) == repr(before)


def test_shared_parts_stay_shared_and_cost_once() -> None:
    value: JSON = []
    for _ in range(20):
        value = [value, value]
    ours = admit(value)
    assert ours[0] is ours[1]
    assert ours[0] is not value[0]


def test_sixty_doublings_are_too_large() -> None:
    value: JSON = [1]
    for _ in range(60):
        value = {"a": value, "b": value}
    with pytest.raises(FlowError) as caught:
        admit(value, at="$.x")
    assert (caught.value.code, caught.value.at) == ("value.too_large", "$.x")


CYCLE: JSON = {"a": [1]}
CYCLE["a"].append(CYCLE)
LONG_CYCLE: JSON = []
LONG_CYCLE.append(deep(200, LONG_CYCLE))
WIDE_CYCLE: JSON = [1, deep(3)]
WIDE_CYCLE.append(deep(200, [WIDE_CYCLE, WIDE_CYCLE[1], 1]))
FAR_CYCLE: JSON = []
FAR_CYCLE.append(FAR_CYCLE)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "$: expected a finite number, got nan"),
        ([float("-inf")], "$[0]: expected a finite number, got -inf"),
        (INT_MAX + 1, "$: expected an integer of 64 bit, got 9223372036854775808"),
        ({"n": [INT_MIN - 1]}, "$.n[0]: expected an integer of 64 bit"),
        ({"n": 10**400}, "$.n: expected an integer of 64 bit, got an integer of 1329 bits"),
        ("a\ud800", "$: expected text, got a lone surrogate at 1 of a string"),
        ({"\udfff": 1}, "expected text, got a lone surrogate at 0"),
        ({"a b": (1,)}, '$["a b"]: expected a JSON value, got a tuple — write a list'),
        ([{1}], "$[0]: expected a JSON value, got a set — write a list"),
        (b"x", "expected a JSON value, got a bytes"),
        ({"x": object()}, "$.x: expected a JSON value, got an object"),
        ({1: 2}, "$: expected string keys, got 1"),
        ({"o": {None: 2}}, "$.o: expected string keys, got null"),
        (OrderedDict(a=1), "$: expected a JSON value, got an OrderedDict"),
        ([_Word.A], "$[0]: expected a JSON value, got "),
        (CYCLE, "$.a[1]: expected a tree, got a cycle"),
        ([[CYCLE]], "$[0][0].a[1]: expected a tree, got a cycle"),
        (LONG_CYCLE, "expected a tree, got a cycle"),
        (WIDE_CYCLE, "expected a tree, got a cycle"),
        (deep(100, FAR_CYCLE), "expected a tree, got a cycle"),
        (deep(128, FAR_CYCLE), "expected at most 128 levels, got more"),
        (deep(129), "$" + "[0].d" * 6 + "…: expected at most 128 levels, got more"),
        (deep(127, {"a": [], "b": [[]]}), "expected at most 128 levels, got more"),
        (deep(5_000), "expected at most 128 levels, got more"),
    ],
    ids=lambda value: str(type(value)) if not isinstance(value, str) else ascii(value)[:50],
)
def test_a_value_that_is_no_json_is_refused_with_its_place(value: JSON, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        admit(value)
    assert says in str(caught.value)
    assert caught.value.code == "malformed"


def test_the_deepest_value_enters() -> None:
    assert admit(deep(128)) == deep(128)


def test_a_part_that_is_shared_deeper_counts_where_it_lies_deepest() -> None:
    part = deep(100)
    assert admit({"a": part, "b": deep(27, part)})
    with pytest.raises(Malformed, match="128 levels"):
        admit({"a": part, "b": deep(28, part)})


def test_the_limits_are_the_callers() -> None:
    assert admit([[1]], limits=Limits(value_depth=2)) == [[1]]
    with pytest.raises(Malformed, match="at most 1 levels"):
        admit([[1]], limits=Limits(value_depth=1))
    assert admit("x" * 8, limits=Limits(value_size=10)) == "x" * 8
    for value in ("x" * 9, [None]):
        with pytest.raises(FlowError) as caught:
            admit(value, limits=Limits(value_size=10))
        assert caught.value.code == "value.too_large"


# --- text ----------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(json_values, st.booleans(), st.sampled_from((None, 2)))
def test_valid_json_is_read_as_the_standard_library_does(
    value: JSON, escaped: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent)
    assert repr(parse_json(text)) == repr(json.loads(text))
    assert repr(parse_json(text.encode())) == repr(json.loads(text))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]",:0123.-eE\\untrfalsNI \n', max_size=14))
def test_any_text_is_read_as_the_standard_library_does_or_is_refused(text: str) -> None:
    try:
        found = repr(parse_json(text))
    except Malformed as error:
        found = str(error)
    assert "\n" not in found
    assert found.startswith("$: expected ") or found == repr(json.loads(text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "$: expected JSON, got the end of the text where a value is due (line 1, column 1)"),
        ('{"a":', "got the end of the text where a value is due (line 1, column 6)"),
        ("{'a': 1}", "got \"'a': 1}\" where a name in double quotes is due (line 1, column 2)"),
        ('{"a" 1}', "got '1}' where ':' is due"),
        ("[undefined, 1, 2]", "got 'undefined, 1'… where a value is due"),
        ("[1\n2,\n3]", "got '2,' where ',' is due (line 2, column 1)"),
        ('"abc', "got unterminated string (line 1, column 1)"),
        ("{\n 'a': 1}", "(line 2, column 2)"),
        ("[1,]", "expected JSON, got "),
        ("1 2", "expected JSON, got '2' where its end is due (line 1, column 3)"),
        ("\ufeff1", "expected JSON, got unexpected UTF-8 BOM"),
        (b"\xef\xbb\xbf1", "expected JSON, got unexpected UTF-8 BOM"),
        (b'"\xff"', "expected UTF-8 text, got byte 0xff at 1"),
        ('{"a": 1, "b": 2, "a": 1}', "expected each key once, got 'a' twice"),
        ("NaN", "expected a finite number, got NaN"),
        ("[-Infinity]", "expected a finite number, got -Infinity"),
        ("1e999", "expected a finite number, got 1e999"),
        ("9223372036854775808", "expected an integer of 64 bit"),
        ("-" + "9" * 5_000, "expected an integer of 64 bit, got one of 5001 digits"),
        ('["\\ud800"]', "$[0]: expected text, got a lone surrogate"),
        ("[" * 129 + "]" * 129, "expected at most 128 levels, got more"),
        ("[" * 100_000, "expected JSON, got one nested too deep"),
        ("[" * 100_000 + "]" * 100_000, "expected JSON, got one nested too deep"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_text_that_is_no_strict_json_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(text)
    assert says in str(caught.value)


@pytest.mark.parametrize("number", [INT_MIN, INT_MAX, -0.0, 5e-324, 1.7976931348623157e308])
def test_the_outermost_numbers_enter(number: float) -> None:
    assert repr(parse_json(json.dumps(number))) == repr(number)


def test_a_text_is_bounded_before_it_is_parsed() -> None:
    assert parse_json("[1]", max_bytes=3) == [1]
    for text, limits in (("[1, 2", {"max_bytes": 4}), ("[1, 2", {"limits": Limits(value_size=4)})):
        with pytest.raises(FlowError) as caught:
            parse_json(text, at="input", **limits)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.at) == ("value.too_large", "input")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[],{}]", "$: expected at most 2 arrays and objects, got more"),
        ("[1,2,3,4]", "$: expected at most 3 values, got more"),
        (b"[1,2,3,4]", "$: expected at most 3 values, got more"),
    ],
)
def test_a_text_of_too_many_values_is_too_large(text: str | bytes, says: str) -> None:
    with pytest.raises(FlowError) as e:
        parse_json(text, limits=Limits(values=3, containers=2))
    assert e.value.code == "value.too_large"
    assert str(e.value) == says


def test_a_text_whose_value_takes_more_than_it_does_is_too_large() -> None:
    assert parse_json("[1,2,3]", limits=Limits(value_size=40)) == [1, 2, 3]
    with pytest.raises(FlowError) as e:
        parse_json("[1,2,3]", limits=Limits(value_size=20))
    assert e.value.code == "value.too_large"


def test_the_keys_of_a_text_weigh_what_they_do_elsewhere() -> None:
    """Many numbers, so that the value is larger than its text, and keys to the very limit."""
    value = {"a key of some length": [*range(40)], "ü": {"another one": 1}}
    size, text = measure(value)[0], json.dumps(value)
    assert len(text) < size - 1
    assert parse_json(text, limits=Limits(value_size=size)) == value
    with pytest.raises(FlowError, match=f"at most {size - 1}"):
        parse_json(text, limits=Limits(value_size=size - 1))


def test_what_stands_in_strings_is_no_value() -> None:
    text = '["[[[{{{,,,,,,", "\\"[,[,"]'
    assert parse_json(text, limits=Limits(values=3, containers=1)) == json.loads(text)


def test_a_place_begins_where_the_caller_says() -> None:
    with pytest.raises(Malformed, match=r"^answer\.a\[0\]: "):
        parse_json('{"a": [99999999999999999999]}', at="answer")


# -- bounds, from both sides -------------------------------------------------------------


def nested(depth: int, inner: str, outer: str = "list") -> Any:
    value: Any = [] if inner == "list" else {}
    for _ in range(depth - 1):
        value = [value] if outer == "list" else {"k": value}
    return value


@pytest.mark.parametrize("inner", ["list", "object"])
@pytest.mark.parametrize("outer", ["list", "object"])
def test_a_text_is_as_deep_as_a_value_may_be(inner: str, outer: str) -> None:
    limits = replace(DEFAULT_LIMITS, value_depth=3)
    deepest, too_deep = (nested(depth, inner, outer) for depth in (3, 4))
    assert parse_json(json.dumps(deepest), limits=limits) == deepest
    assert admit(deepest, limits=limits) == deepest
    said: list[str] = []
    for enter in (lambda: admit(too_deep, limits=limits),
                  lambda: parse_json(json.dumps(too_deep), limits=limits)):  # fmt: skip
        with pytest.raises(Malformed) as caught:
            enter()
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_text_has_as_many_bytes_as_it_may_have() -> None:
    for most in (5, 6):
        assert parse_json('"abc"', max_bytes=most) == "abc"
    with pytest.raises(FlowError, match="expected a value of at most 4 bytes"):
        parse_json('"abc"', max_bytes=4)
    limits = replace(DEFAULT_LIMITS, value_size=9)
    with pytest.raises(FlowError, match="expected a value of at most 9 bytes"):
        parse_json(" " * 10, limits=limits)
    assert parse_json("       1 ", limits=limits) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1" * 21, "expected an integer of 64 bit, got one of 21 digits"),
        ("-" + "1" * 20, "expected an integer of 64 bit, got one of 21 digits"),
        ("1" + "0" * 50 + "e999", "expected a finite number, got 1" + "0" * 39),
        ("[1e999]", "expected a finite number, got 1e999"),
        ("[NaN]", "expected a finite number, got NaN"),
        ('{"a": 1, "b": 2, "b": 3, "a": 4}', "expected each key once, got 'b' twice"),
        ('{"a": 1, "b": 2, "a": 3}', "expected each key once, got 'a' twice"),
    ],
)
def test_what_is_wrong_with_a_text_is_told_to_the_letter(text: str, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(text)
    (problem,) = caught.value.problems
    assert (problem.at, problem.message) == ("$", says)


def test_an_integer_of_twenty_letters_is_read_before_it_is_judged() -> None:
    assert parse_json("-9223372036854775808") == -(2**63)
    with pytest.raises(Malformed, match="9223372036854775808"):
        parse_json("9223372036854775808")


@pytest.mark.parametrize(("steps", "shown"), [(12, "$" + ".k" * 12), (13, "$" + ".k" * 12 + "…")])
def test_a_long_way_to_a_place_is_cut(steps: int, shown: str) -> None:
    value: Any = {1, 2}
    for _ in range(steps):
        value = {"k": value}
    with pytest.raises(Malformed) as caught:
        admit(value)
    assert caught.value.problems[0].at == shown


@pytest.mark.parametrize(
    ("value", "size", "depth"),
    [
        (None, 8, 0),
        (True, 8, 0),
        (5, 8, 0),
        ("", 2, 0),
        ("ab", 4, 0),
        ([], 2, 1),
        ({}, 2, 1),
        ([1], 2 + 1 + 8, 1),
        (["ab"], 2 + 1 + 4, 1),
        ({"k": 1}, 2 + 4 + 1 + 8, 1),
        ({"kk": "ab"}, 2 + 4 + 2 + 4, 1),
        ([[], {}], 2 + 2 + 2 + 2, 2),
    ],
)
def test_what_enters_is_measured(value: Any, size: int, depth: int) -> None:
    assert admit_measured(value) == (value, size, depth)


@pytest.mark.parametrize(
    ("rest", "shown"), [("x" * 12, "'xxxxxxxxxxxx'"), ("x" * 13, "'xxxxxxxxxxxx'…"), ("x", "'x'")]
)
def test_what_stands_where_json_ends_is_shown_as_far_as_twelve_characters(
    rest: str, shown: str
) -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(f"[{rest}")
    assert f"got {shown} where a value is due" in str(caught.value)


def test_a_cycle_that_only_what_is_too_deep_leads_to_is_too_deep() -> None:
    ring: list[Any] = []
    ring.append([ring])
    value: Any = [ring]
    for _ in range(127):
        value = [value]
    with pytest.raises(Malformed, match="expected at most 128 levels, got more"):
        admit(value)
