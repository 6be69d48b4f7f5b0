"""The standard externs: every function, its edges, and every sentence it may refuse with."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flowir.errors import FlowError, ProtocolError
from flowir.externs import STANDARD_EXTERNS, Extern, registry
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN
from flowir.values import measure, same

LIMIT = DEFAULT_LIMITS.value_size
HUGE = "x" * (LIMIT - 2)  # the largest string there is

NAMES = {
    "json": ["encode", "decode"],
    "string": ["lower", "upper", "trim", "split", "join", "contains", "starts_with", "ends_with",
               "replace", "sub", "format"],
    "math": ["min", "max", "abs", "floor", "ceil", "round"],
    "list": ["sum", "sort", "slice", "concat", "range", "reverse", "unique"],
    "object": ["keys", "values", "merge", "without"],
}  # fmt: skip

VALUES: list[tuple[str, list[Any], Any]] = [
    ("json.encode", [{"b": [1, 2.5, None, True], "a": "ä\n"}],
     '{"a":"ä\\n","b":[1,2.5,null,true]}'),
    ("json.encode", [5.0], "5.0"),
    ("json.encode", [INT_MAX], "9223372036854775807"),
    ("json.encode", [1e16], "1e+16"),
    ("json.encode", [{}], "{}"),
    ("json.decode", ['{"a": [1, 5.0, null]}'], {"a": [1, 5.0, None]}),
    ("json.decode", [" true "], True),
    ("json.decode", ["9223372036854775807"], INT_MAX),
    ("string.lower", ["ÄB1"], "äb1"),
    ("string.upper", ["straße"], "STRASSE"),
    ("string.trim", [" \t\n\v\f\ra b \n"], "a b"),
    ("string.trim", ["\u00a0a\u2003"], "\u00a0a\u2003"),
    ("string.split", ["a,b,,c", ","], ["a", "b", "", "c"]),
    ("string.split", ["", ","], [""]),
    ("string.split", ["a.b", "."], ["a", "b"]),
    ("string.split", ["a--b", "--"], ["a", "b"]),
    ("string.join", [["a", "b"], ", "], "a, b"),
    ("string.join", [[], ", "], ""),
    ("string.join", [["a"], ", "], "a"),
    ("string.contains", ["abc", "b"], True),
    ("string.contains", ["abc", ".*"], False),
    ("string.contains", ["abc", ""], True),
    ("string.starts_with", ["abc", "ab"], True),
    ("string.starts_with", ["abc", "b"], False),
    ("string.ends_with", ["abc", "bc"], True),
    ("string.ends_with", ["abc", "b"], False),
    ("string.replace", ["a.b.c", ".", "--"], "a--b--c"),
    ("string.replace", ["aaa", "aa", "b"], "ba"),
    ("string.replace", ["abc", "x", "y"], "abc"),
    ("string.sub", ["héllo", 1, 3], "él"),
    ("string.sub", ["hello", 0, 99], "hello"),
    ("string.sub", ["hello", -3, -1], "ll"),
    ("string.sub", ["hello", -99, 2], "he"),
    ("string.sub", ["hello", 3, 2], ""),
    ("string.sub", ["😀😀", 0, 1], "😀"),
    ("string.format", ["{a} and {b}", {"a": "x", "b": "y"}], "x and y"),
    ("string.format", ["{o}{l}", {"o": {"b": 1, "a": None}, "l": [1.0]}], '{"a":null,"b":1}[1.0]'),
    ("string.format", ["{n} {f} {t} {z}", {"n": 1, "f": 2.5, "t": True, "z": None}],
     "1 2.5 true null"),
    ("string.format", ["{{a}", {"a": 1}], "{a}"),
    ("string.format", ["{{{a}}", {"a": 1}], "{1}"),
    ("string.format", ["a } b }}", {}], "a } b }}"),
    ("string.format", ["{a b.c}", {"a b.c": 1}], "1"),
    ("string.format", ["{}", {"": "empty"}], "empty"),
    ("string.format", ["{a}", {"a": "{b}"}], "{b}"),
    ("string.format", ["", {}], ""),
    ("math.min", [3, 1.5, 2], 1.5),
    ("math.min", [3], 3),
    ("math.min", [2**53, float(2**53) + 2], 2**53),
    ("math.max", [3, 1.5, 2], 3),
    ("math.max", [2**53 + 1, float(2**53)], 2**53 + 1),
    ("math.abs", [-3], 3),
    ("math.abs", [-2.5], 2.5),
    ("math.abs", [INT_MAX], INT_MAX),
    ("math.floor", [-1.5], -2),
    ("math.floor", [7], 7),
    ("math.ceil", [-1.5], -1),
    ("math.ceil", [1.2], 2),
    ("math.round", [0.5], 0),
    ("math.round", [1.5], 2),
    ("math.round", [2.5], 2),
    ("math.round", [-2.5], -2),
    ("math.round", [-0.4], 0),
    ("math.round", [INT_MIN], INT_MIN),
    ("list.sum", [[]], 0),
    ("list.sum", [[1, 2, 3]], 6),
    ("list.sum", [[1, 0.5]], 1.5),
    ("list.sum", [[INT_MAX, 1, -1]], INT_MAX),
    ("list.sum", [[1e16, 1.0, -1e16]], 0.0),
    ("list.sort", [[]], []),
    ("list.sort", [[3, 1.5, 2]], [1.5, 2, 3]),
    ("list.sort", [["b", "a", "Z", "ä", "😀", "\uffff"]], ["Z", "a", "b", "ä", "\uffff", "😀"]),
    ("list.slice", [[1, 2, 3, 4], 1, 3], [2, 3]),
    ("list.slice", [[1, 2, 3], -2, 99], [2, 3]),
    ("list.slice", [[1, 2, 3], 2, 1], []),
    ("list.concat", [[1], [], [2, [3]]], [1, 2, [3]]),
    ("list.concat", [[1]], [1]),
    ("list.range", [2, 5], [2, 3, 4]),
    ("list.range", [-1, 1], [-1, 0]),
    ("list.range", [5, 2], []),
    ("list.range", [INT_MAX, INT_MIN], []),
    ("list.reverse", [[1, 2, 3]], [3, 2, 1]),
    ("list.unique", [[3, 1, 3, 2, 1]], [3, 1, 2]),
    ("list.unique", [[1, 1.0, True, "1", None, None, False, 0]], [1, True, "1", None, False, 0]),
    ("list.unique", [[[1], [1.0], [True], {"a": 1}, {"a": 1.0}, {"a": True}]],
     [[1], [True], {"a": 1}, {"a": True}]),
    ("list.unique", [[{"a": 1, "b": 2}, {"b": 2, "a": 1}, {}, [], {}, []]],
     [{"a": 1, "b": 2}, {}, []]),
    ("list.unique", [[2**53, 2**53 + 1, float(2**53)]], [2**53, 2**53 + 1]),
    ("list.unique", [[["boolean", True], True, ["array"], [0], 0, {"0": 0}]],
     [["boolean", True], True, ["array"], [0], 0, {"0": 0}]),
    ("object.keys", [{"b": 1, "a": 2, "Z": 3}], ["Z", "a", "b"]),
    ("object.values", [{"b": 1, "a": 2, "Z": 3}], [3, 2, 1]),
    ("object.merge", [{"a": 1, "b": {"x": 1}}, {"b": {"y": 2}}, {"c": 3}],
     {"a": 1, "b": {"y": 2}, "c": 3}),
    ("object.merge", [{"a": 1}], {"a": 1}),
    ("object.without", [{"a": 1, "b": 2}, "a"], {"b": 2}),
    ("object.without", [{"a": 1}, "z"], {"a": 1}),
]  # fmt: skip

REFUSED: list[tuple[str, list[Any], str]] = [
    ("json.decode", [5], "json.decode: expected a string for 's', got number 5"),
    ("json.decode", ["{"], "json.decode: expected JSON, got "),
    ("json.decode", ['{"a":1,"a":2}'], "json.decode: expected each key once, got 'a' twice, in "),
    ("json.decode", ["[NaN]"], "json.decode: expected a finite number, got NaN, in '[NaN]'"),
    ("json.decode", ["9223372036854775808"], "json.decode: expected an integer of 64 bit"),
    ("json.decode", ['"\\ud800"'], "json.decode: expected text, got a lone surrogate"),
    ("json.decode", ["[" * 129 + "]" * 129], "json.decode: expected "),
    ("json.decode", ["[" * 200_000], "json.decode: expected "),
    ("json.encode", [], "json.encode: expected 1 argument, got 0"),
    ("json.encode", [1, 2], "json.encode: expected 1 argument, got 2"),
    ("string.lower", [None], "string.lower: expected a string for 's', got null"),
    ("string.upper", [["a"]], "string.upper: expected a string for 's', got array ['a']"),
    ("string.trim", [True], "string.trim: expected a string for 's', got boolean true"),
    ("string.split", ["a", ""],
     "string.split: expected a string that is not empty for 'sep', got string ''"),
    ("string.split", ["a"], "string.split: expected 2 arguments, got 1"),
    ("string.join", ["a", ","], "string.join: expected an array for 'list', got string 'a'"),
    ("string.join", [["a", 1], ","], "string.join: expected a string for 'list'[1], got number 1"),
    ("string.contains", ["a", 1], "string.contains: expected a string for 'part', got number 1"),
    ("string.starts_with", [1, "a"], "string.starts_with: expected a string for 's', got number 1"),
    ("string.ends_with", [{}, "a"], "string.ends_with: expected a string for 's', got object {}"),
    ("string.replace", ["abc", "", "x"],
     "string.replace: expected a string that is not empty for 'old', got string ''"),
    ("string.sub", ["abc", 1.0, 2], "string.sub: expected an integer for 'from', got number 1.0"),
    ("string.sub", ["abc", 1, True], "string.sub: expected an integer for 'to', got boolean true"),
    ("string.format", ["{b}", {"a": 1}],
     "string.format: expected a member 'b' of 'object', got object {'a': 1}"),
    ("string.format", ["ab {name", {}],
     "string.format: expected a '}' for the '{' at 3 of 'template', got '{name' — write {{"),
    ("string.format", ["{", {}], "string.format: expected a '}' for the '{' at 0 of 'template'"),
    ("string.format", ["", []], "string.format: expected an object for 'object', got array []"),
    ("math.min", [], "math.min: expected at least 1 argument, got 0"),
    ("math.max", [], "math.max: expected at least 1 argument, got 0"),
    ("math.max", [1, True], "math.max: expected a number for argument 2, got boolean true"),
    ("math.min", [[1, 2]], "math.min: expected a number for argument 1, got array [1, 2]"),
    ("math.abs", ["1"], "math.abs: expected a number for 'x', got string '1'"),
    ("math.floor", [None], "math.floor: expected a number for 'x', got null"),
    ("math.ceil", [False], "math.ceil: expected a number for 'x', got boolean false"),
    ("math.round", [1, 2], "math.round: expected 1 argument, got 2"),
    ("list.sum", [[1, "2"]], "list.sum: expected a number for 'l'[1], got string '2'"),
    ("list.sum", [[True]], "list.sum: expected a number for 'l'[0], got boolean true"),
    ("list.sum", [5], "list.sum: expected an array for 'l', got number 5"),
    ("list.sort", [[1, "a"]],
     "list.sort: expected a number for 'l'[1] (all numbers or all strings), got string 'a'"),
    ("list.sort", [["a", 1]],
     "list.sort: expected a string for 'l'[1] (all numbers or all strings), got number 1"),
    ("list.sort", [[[1]]],
     "list.sort: expected a number for 'l'[0] (all numbers or all strings), got array [1]"),
    ("list.slice", [[1], 0.5, 1], "list.slice: expected an integer for 'from', got number 0.5"),
    ("list.slice", ["abc", 0, 1], "list.slice: expected an array for 'l', got string 'abc'"),
    ("list.concat", [], "list.concat: expected at least 1 argument, got 0"),
    ("list.concat", [[1], 2], "list.concat: expected an array for argument 2, got number 2"),
    ("list.range", [0, 2.0], "list.range: expected an integer for 'to', got number 2.0"),
    ("list.range", [0], "list.range: expected 2 arguments, got 1"),
    ("list.reverse", ["abc"], "list.reverse: expected an array for 'l', got string 'abc'"),
    ("list.unique", [{}], "list.unique: expected an array for 'l', got object {}"),
    ("object.keys", [[]], "object.keys: expected an object for 'o', got array []"),
    ("object.values", [1], "object.values: expected an object for 'o', got number 1"),
    ("object.merge", [{}, []], "object.merge: expected an object for argument 2, got array []"),
    ("object.without", [{}, 1], "object.without: expected a string for 'key', got number 1"),
]  # fmt: skip

OVERFLOWS: list[tuple[str, list[Any]]] = [
    ("math.abs", [INT_MIN]),
    ("math.floor", [1e300]),
    ("math.ceil", [-1e300]),
    ("math.round", [2.0**63]),
    ("list.sum", [[INT_MAX, 1]]),
    ("list.sum", [[1e308, 1e308]]),
]


def _doubled(times: int, seed: Any) -> Any:
    for _ in range(times):
        seed = [seed, seed]
    return seed


TOO_LARGE: list[tuple[str, list[Any]]] = [
    ("json.encode", [_doubled(60, 1)]),
    ("json.encode", ["\x00" * (LIMIT // 4)]),
    ("string.upper", ["ΐ" * (LIMIT // 3 + 1)]),
    ("string.lower", ["İ" * (LIMIT // 2)]),
    ("string.split", [HUGE, "x"]),
    ("string.join", [["x" * 1000] * 10_000, "y" * 1000]),
    ("string.replace", ["x" * 100_000, "x", "y" * 100_000]),
    ("string.format", ["{a}" * 1_000_000, {"a": "x" * 1_000_000}]),
    ("string.format", ["{a}" + HUGE, {"a": "x"}]),
    ("string.format", ["{a}", {"a": _doubled(60, 1)}]),
    ("list.range", [0, 10**12]),
    ("list.range", [INT_MIN, INT_MAX]),
    ("list.concat", [[HUGE], [1]]),
    ("list.concat", [_doubled(60, 1), []]),
    ("object.merge", [{"a": HUGE[: LIMIT // 2]}, {"b": HUGE[: LIMIT // 2]}]),
]


def _id(case: tuple[Any, ...]) -> str:
    return case[0]


def test_every_extern_of_the_specification_is_there_and_no_other() -> None:
    assert set(STANDARD_EXTERNS) == {f"{family}.{n}" for family, ns in NAMES.items() for n in ns}
    assert all(extern.name == name for name, extern in STANDARD_EXTERNS.items())


@pytest.mark.parametrize("case", VALUES, ids=_id)
def test_an_extern_returns_its_value_and_leaves_its_arguments_alone(
    case: tuple[str, list[Any], Any],
) -> None:
    name, args, expected = case
    before = copy.deepcopy(args)
    result = STANDARD_EXTERNS[name](*args)
    assert same(result, expected)
    assert type(result) is type(expected)
    assert same(args, before)
    assert not any(result is arg for arg in args if isinstance(arg, (list, dict)))


@pytest.mark.parametrize("case", REFUSED, ids=_id)
def test_a_wrong_argument_is_a_type_mismatch_with_its_sentence(
    case: tuple[str, list[Any], str],
) -> None:
    name, args, sentence = case
    with pytest.raises(FlowError) as caught:
        STANDARD_EXTERNS[name](*args)
    assert caught.value.code == "type.mismatch"
    assert caught.value.message.startswith(sentence)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("case", OVERFLOWS, ids=_id)
def test_a_number_beyond_64_bit_or_not_finite_is_an_overflow(case: tuple[str, list[Any]]) -> None:
    name, args = case
    with pytest.raises(FlowError, match=f"^{name}: expected a number within 64 bit") as caught:
        STANDARD_EXTERNS[name](*args)
    assert caught.value.code == "arith.overflow"


@pytest.mark.parametrize("case", TOO_LARGE, ids=_id)
def test_a_result_that_would_be_too_large_is_refused(case: tuple[str, list[Any]]) -> None:
    name, args = case
    with pytest.raises(FlowError, match=f"^{name}: expected a result of at most") as caught:
        STANDARD_EXTERNS[name](*args)
    assert caught.value.code == "value.too_large"


@pytest.mark.parametrize("count", [LIMIT // 8, LIMIT // 9 + 1000])
def test_a_text_that_decodes_to_too_large_a_value_is_refused_as_such(count: int) -> None:
    """The larger text has too many values, which are counted; the other one is weighed."""
    with pytest.raises(FlowError) as caught:
        STANDARD_EXTERNS["json.decode"]("[" + "1," * count + "1]")
    assert caught.value.code == "value.too_large"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("string.replace", ["x" * 4095 + "a", "a", "y" * (LIMIT - 2 - 4095)]),
        ("string.join", [["x" * 1024] * ((LIMIT - 2) // 1024), ""]),
        ("list.range", [0, (LIMIT - 2) // 9]),
        ("string.split", ["x" * ((LIMIT - 5) // 3), "x"]),
        ("list.concat", [[HUGE[:-9]], []]),
    ],
)
def test_sizes_are_counted_as_values_are_measured(name: str, args: list[Any]) -> None:
    result = STANDARD_EXTERNS[name](*args)
    assert LIMIT - 1024 < measure(result)[0] <= LIMIT


def test_sorting_is_stable_for_equal_numbers() -> None:
    result = STANDARD_EXTERNS["list.sort"]([1.0, 0, 1, -0.0])
    assert [repr(n) for n in result] == ["0", "-0.0", "1.0", "1"]


def test_the_least_of_equal_numbers_is_the_first() -> None:
    assert repr(STANDARD_EXTERNS["math.min"](5, 5.0)) == "5"
    assert repr(STANDARD_EXTERNS["math.max"](5.0, 5)) == "5.0"


def test_unique_visits_a_shared_part_once() -> None:
    deep = _doubled(60, 1)
    again = _doubled(60, 1.0)
    assert STANDARD_EXTERNS["list.unique"]([deep, again, deep]) == [deep]


def test_decoding_what_was_encoded_gives_the_value_back() -> None:
    value: Any = {"a": [1, 1.0, -0.0, '\u2028\x7f😀\\"', {"": [None]}], "b": INT_MIN}
    text = STANDARD_EXTERNS["json.encode"](value)
    assert repr(STANDARD_EXTERNS["json.decode"](text)) == repr(value)


def test_arity_is_told_to_the_checker() -> None:
    arity = {n: (e.min_args, e.max_args) for n, e in STANDARD_EXTERNS.items()}
    assert arity["string.sub"] == (3, 3)
    assert arity["list.concat"] == (1, None)


def test_the_standard_externs_can_not_be_replaced_in_place() -> None:
    with pytest.raises(TypeError):
        STANDARD_EXTERNS["string.upper"] = STANDARD_EXTERNS["string.lower"]  # pyright: ignore[reportIndexIssue]


# ---- a host's own ------------------------------------------------------------------------


def test_registry_without_extra_is_the_standard_one() -> None:
    assert dict(registry()) == dict(STANDARD_EXTERNS)


def test_a_callable_of_the_host_is_laid_over_the_standard_ones() -> None:
    def shout(s: str) -> str:
        return s + "!"

    externs = registry({"shout": shout, "string.upper": shout})
    assert externs["shout"]("a") == "a!"
    assert externs["string.upper"]("a") == "a!"
    assert externs["string.lower"] is STANDARD_EXTERNS["string.lower"]
    assert (externs["shout"].min_args, externs["shout"].max_args) == (0, None)


def test_an_extern_of_the_host_may_state_its_arity() -> None:
    def half(n: int) -> int:
        return n // 2

    externs = registry({"half": Extern("half", half, 1, 1)})
    assert externs["half"](5) == 2
    assert (externs["half"].min_args, externs["half"].max_args) == (1, 1)


def test_a_registry_may_be_made_from_a_registry() -> None:
    externs = registry(registry({"one": lambda: 1}))
    assert externs["one"]() == 1
    assert externs["json.encode"] is STANDARD_EXTERNS["json.encode"]


def test_a_host_function_gets_private_copies_and_its_answer_is_private() -> None:
    kept: list[Any] = [1]

    def grab(value: list[Any]) -> list[Any]:
        value.append("changed")
        return kept

    argument: list[Any] = []
    result = registry({"grab": grab})["grab"](argument)
    kept.append("later")
    assert argument == []
    assert result == [1]


@pytest.mark.parametrize("answer", [(1,), {1: 2}, float("nan"), 2**70, "\ud800", object()])
def test_an_answer_of_a_host_function_that_is_no_json_fails(answer: object) -> None:
    with pytest.raises(FlowError, match=r"^odd: its answer is no JSON: \$") as caught:
        registry({"odd": lambda: answer})["odd"]()
    assert caught.value.code == "extern.failed"


def test_an_answer_of_a_host_function_that_is_too_large_is_refused() -> None:
    with pytest.raises(FlowError) as caught:
        registry({"big": lambda: HUGE + HUGE})["big"]()
    assert caught.value.code == "value.too_large"


def test_an_exception_of_a_host_function_fails_with_its_name() -> None:
    def div(a: int, b: int) -> float:
        return a / b

    with pytest.raises(FlowError, match=r"^div: ZeroDivisionError: ") as caught:
        registry({"div": div})["div"](1, 0)
    assert caught.value.code == "extern.failed"
    assert caught.value.values == {"extern": "div"}
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_flow_error_of_a_host_function_passes_as_it_is() -> None:
    def refuse() -> None:
        raise FlowError("tax.unknown", "no rate")

    with pytest.raises(FlowError) as caught:
        registry({"tax": refuse})["tax"]()
    assert caught.value.code == "tax.unknown"


def test_an_interrupt_in_a_host_function_passes_through() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry({"stop": stop})["stop"]()


@pytest.mark.parametrize("extra", [{"": len}, {5: len}, {"five": 5}])
def test_a_registry_refuses_what_is_no_name_or_no_function(extra: Any) -> None:
    with pytest.raises(ProtocolError, match=r"^externs: expected "):
        registry(extra)
