from __future__ import annotations

from typing import Any

import pytest

import flowir
from flowir import ops
from flowir.errors import FlowError
from flowir.exprs import Meter
from flowir.externs import STANDARD_EXTERNS
from flowir.limits import INT_MAX, INT_MIN, Limits

JSON = Any


def meter(**limits: int) -> Meter:
    return Meter(STANDARD_EXTERNS, Limits(**limits))


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("ctx.s < 1", "type.mismatch", "<: expected two numbers or two strings, got string 'héy'"),
        ("true >= false", "type.mismatch", ">=: expected two numbers or two strings"),
        ("ctx.o <= ctx.o", "type.mismatch", "<=: expected two numbers or two strings"),
        ("ctx.s + 1", "type.mismatch", "+: expected a number, got string 'héy'"),
        ("1 - nil", "type.mismatch", "-: expected a number, got null"),
        ("ctx.max + 1", "arith.overflow", "+: the result is beyond the range of numbers"),
        ("ctx.max * 2", "arith.overflow", "*: the result is beyond the range of numbers"),
        ("-1 - ctx.max - 1", "arith.overflow", "-: the result"),
        ("1e308 * 10", "arith.overflow", "*: the result"),
        ("1e308 / 0.1", "arith.overflow", "/: the result"),
        ("1e308 // 0.1", "arith.overflow", "//: the result"),
        ("ctx.min // -1", "arith.overflow", "//: the result"),
        ("1 / 0", "arith.zero_division", "/: division by zero"),
        ("1 % 0.0", "arith.zero_division", "%: division by zero"),
        ("1 // 0", "arith.zero_division", "//: division by zero"),
        ("#5", "type.mismatch", "#: expected an array, a string or an object, got number 5"),
        ("contains('ab', 'a')", "type.mismatch", "contains: expected an array, got string 'ab'"),
        ("ctx.o[ctx.s]", "path.missing", "expected a member 'héy' of {'k': 1}"),
        ("ctx.l[ctx.one]", "path.missing", "expected an item [1] of an array of 1 items"),
        (
            "ctx.l[ctx.s]",
            "type.mismatch",
            "get: expected an object for the key 'héy', got array [5]",
        ),
        ("ctx.o[ctx.one]", "type.mismatch", "get: expected an array for the index 1, got object"),
        ("ctx.o[ctx.l]", "type.mismatch", "get: expected a string or an integer as key"),
        ("ctx.l[1 == 1]", "type.mismatch", "get: expected a string or an integer as key"),
        ("map(ctx.o, function(x) return x end)", "type.mismatch", "map: expected an array"),
        ("'a' .. ctx.o", "type.mismatch", "..: expected a string, a number or a boolean"),
        ("nosuch.extern(1)", "extern.unknown", "expected a registered extern, got 'nosuch.extern'"),
        ("fail('my.code', 'words')", "my.code", "words"),
        ("fail('my.code', 5)", "type.mismatch", "fail: expected a string as message, got number 5"),
    ],
)
def test_what_fails_says_why(text: str, code: str, says: str) -> None:
    ctx = {"s": "héy", "o": {"k": 1}, "l": [5], "one": 1, "max": INT_MAX, "min": INT_MIN}
    with pytest.raises(FlowError) as caught:
        flowir.evaluate(text, ctx)
    assert caught.value.code == code
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 == 1.0", True),
        ("9007199254740993 == 9007199254740992.0", False),
        ("1 == true", False),
        ("{ a = { 1 } } == { a = { 1.0 } }", True),
        ("7 % -3", -2),
        ("-7 // 2", -4),
        ("7.5 // 2", 3.0),
        ("-7.5 % 2", 0.5),
        ("6 / 3", 2.0),
        ("1 + 2.5", 3.5),
        ("'a' .. 1 .. 2.5 .. true", "a12.5true"),
        ("#'héy' + #{ 1, 2 } + #{ k = 1 }", 6),
        ("ctx.l[-1 * 1]", 5),
        ("contains({ 1, { 2 } }, { 2.0 })", True),
        ("'é' < 'z'", False),
        ("1 < 1.5", True),
    ],
)
def test_what_the_ops_give(text: str, value: JSON) -> None:
    found = flowir.evaluate(text, {"l": [4, 5]})
    assert (found, type(found)) == (value, type(value))


def test_large_values_cost_by_their_size() -> None:
    payer = meter()
    before = payer.fuel
    ops.equal(payer, ["x" * 638], ["x" * 638])
    assert before - payer.fuel == (2 * (638 + 5)) // 64
    ops.contains(payer, 1, [0] * 128)
    ops.concat(payer, ("x" * 64,))
    ops.call_extern(payer, "list.reverse", ([0] * 64,))
    assert before - payer.fuel == 20 + 2 + 1 + 1 + 1


def test_one_value_compared_with_itself_costs_nothing() -> None:
    payer, value = meter(), ["x" * 10_000]
    before = payer.fuel
    assert ops.equal(payer, value, value)
    assert payer.fuel == before


def test_a_comparison_that_would_never_end_is_refused() -> None:
    a: JSON = [1]
    b: JSON = [1]
    for _ in range(60):
        a, b = [a, a], [b, b]
    with pytest.raises(FlowError) as caught:
        ops.equal(meter(), a, b)
    assert caught.value.code == "value.too_large"


def test_a_string_that_would_be_too_large_is_not_built() -> None:
    assert ops.concat(meter(value_size=4), ("ab", "cd")) == "abcd"
    with pytest.raises(FlowError) as caught:
        ops.concat(meter(value_size=4), ("ab", "cde"))
    assert caught.value.code == "value.too_large"


def test_what_is_spent_is_gone() -> None:
    payer = meter(fuel=5)
    ops.spend(payer, 5)
    with pytest.raises(FlowError) as caught:
        ops.spend(payer, 1)
    assert (caught.value.code, payer.fuel) == ("fuel.exhausted", -1)


def test_a_path_names_what_is_missing() -> None:
    with pytest.raises(FlowError, match=r"a member 'b' of \$\.a"):
        flowir.evaluate("ctx.a.b", {"a": {}})


def test_an_error_that_is_raised_again_has_a_cause_that_is_a_code() -> None:
    for cause in (None, "net.down"):
        with pytest.raises(FlowError) as e:
            ops.fail("a.b", "m", None, cause)
        assert (e.value.code, e.value.cause_code) == ("a.b", cause)
    with pytest.raises(FlowError, match="expected a string or null as cause_code, got number 5"):
        ops.fail("a.b", "m", None, 5)


@pytest.mark.parametrize(
    ("compute", "a", "b", "result"),
    [
        (ops.add, INT_MAX - 1, 1, INT_MAX),
        (ops.add, INT_MIN + 1, -1, INT_MIN),
        (ops.add, INT_MAX, 1, None),
        (ops.sub, INT_MIN + 1, 1, INT_MIN),
        (ops.sub, INT_MAX - 1, -1, INT_MAX),
        (ops.sub, INT_MIN, 1, None),
        (ops.mul, 2**62, -2, INT_MIN),
        (ops.mul, 2**62, 2, None),
        (ops.mul, INT_MAX, 1, INT_MAX),
        (ops.add, 2**53 + 1, 0.0, float(2**53)),
        (ops.mul, 1e308, 10, None),
    ],
)
def test_numbers_end_where_64_bits_do(compute: Any, a: Any, b: Any, result: Any) -> None:
    if result is None:
        with pytest.raises(FlowError) as caught:
            compute(a, b)
        assert caught.value.code == "arith.overflow"
        return
    found = compute(a, b)
    assert (type(found), found) == (type(result), result)


@pytest.mark.parametrize("compute", [ops.add, ops.sub, ops.mul, ops.div, ops.mod, ops.idiv])
@pytest.mark.parametrize("odd", ["2", [1], True, None, {}])
def test_only_numbers_are_computed_with(compute: Any, odd: Any) -> None:
    for pair in ((odd, 2), (2, odd)):
        with pytest.raises(FlowError, match="expected a number, got") as caught:
            compute(*pair)
        assert caught.value.code == "type.mismatch"


@pytest.mark.parametrize(("size", "paid"), [(63, 0), (64, 1), (127, 1), (128, 2)])
def test_to_compare_what_is_large_costs_by_the_64(size: int, paid: int) -> None:
    # Of an array of one text: two, one more, and the text with its quotes.
    one, other = ["x" * (size - 5 - 5)], [""]
    payer = meter()
    before = payer.fuel
    assert not ops.equal(payer, one, other)
    assert before - payer.fuel == paid


def test_two_values_that_are_as_large_as_they_may_be_are_compared() -> None:
    payer = meter(value_size=100)
    one = ["x" * 95]
    assert ops.equal(payer, one, [*one])
    with pytest.raises(FlowError) as caught:
        ops.equal(payer, one, ["x" * 96])
    assert caught.value.code == "value.too_large"


@pytest.mark.parametrize(
    ("values", "paid"),
    [
        ((), 0),
        (("x" * 63,), 0),
        (("x" * 64,), 1),
        (("x" * 32, [0] * 32), 1),
        (({str(n): 0 for n in range(63)}, 5, None), 0),
        (([0] * 128, "x"), 2),
    ],
)
def test_a_function_costs_by_the_members_of_what_it_is_given(
    values: tuple[Any, ...], paid: int
) -> None:
    payer = meter()
    before = payer.fuel
    ops.pay_extern(payer, values)
    assert before - payer.fuel == paid
