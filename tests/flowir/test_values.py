from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowir.values import (
    described,
    kind_of,
    measure,
    mismatch,
    private_copy,
    same,
    truth,
    weigh,
)
from tests.flowir.strategies import json_values
from tests.flowir.walker import plain_depth, plain_same, plain_size

JSON = Any
_near = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, -0.0, 2**53, 2.0**53, 2**53 + 1, "", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


def doubled(times: int) -> JSON:
    value: JSON = [1]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "kind", "true", "words"),
    [
        (None, "null", False, "null"),
        (False, "boolean", False, "boolean false"),
        (True, "boolean", True, "boolean true"),
        (0, "number", True, "number 0"),
        (0.5, "number", True, "number 0.5"),
        ("", "string", True, "string ''"),
        ([], "array", True, "array []"),
        ({}, "object", True, "object {}"),
        ((), "tuple", True, "tuple a tuple"),
    ],
)
def test_kind_truth_and_words(value: JSON, kind: str, true: bool, words: str) -> None:
    assert (kind_of(value), truth(value), described(value)) == (kind, true, words)


def test_a_mismatch_says_what_was_expected_where() -> None:
    error = mismatch("len", "an array", None)
    assert (error.code, error.message) == ("type.mismatch", "len: expected an array, got null")


@settings(max_examples=300, deadline=None)
@given(_near, _near)
def test_equality_is_deep_and_by_value(a: JSON, b: JSON) -> None:
    assert same(a, b) is plain_same(a, b)
    assert same(b, a) is same(a, b)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_every_value_equals_its_copy(value: JSON) -> None:
    assert same(value, copy.deepcopy(value))
    assert same(value, value)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_size_and_depth_are_those_of_the_plain_count(value: JSON) -> None:
    assert measure(value) == (plain_size(value), plain_depth(value))


def test_shared_parts_count_each_time_and_cost_once() -> None:
    assert measure(doubled(3)) == (plain_size(doubled(3)), 4)
    size, depth = measure(doubled(60))
    assert size > 2**60
    assert depth == 61


def test_a_value_of_too_many_containers_is_not_weighed() -> None:
    value = [[1], [2]]
    assert weigh(value, 3) == measure(value)
    assert weigh(value, 2) is None
    assert weigh(list(range(64)), 4) is None
    assert weigh("text", 0) == (6, 0)
    assert weigh(None, 0) == (8, 0)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_a_private_copy_is_equal_and_shares_no_container(value: JSON) -> None:
    ours = private_copy(value)
    assert repr(ours) == repr(value)
    assert not _containers(ours) & _containers(value)


def test_a_private_copy_shares_nothing_within_itself() -> None:
    first, second = private_copy(doubled(1))
    assert first is not second


def _containers(value: JSON) -> set[int]:
    if not isinstance(value, (list, dict)):
        return set()
    members = list(value.values()) if isinstance(value, dict) else value
    return {id(value)}.union(*map(_containers, members))


NAN = float("nan")
EQUAL: list[tuple[Any, Any, bool]] = [
    (None, None, True),
    (None, False, False),
    (True, 1, False),
    (0, False, False),
    (1, 1.0, True),
    (2**53 + 1, float(2**53), False),
    ("1", 1, False),
    ("a", "a", True),
    ("a", "b", False),
    ([], {}, False),
    ([], [], True),
    ([1, 2], [1, 2.0], True),
    ([1, 2], [1], False),
    ([1], [1, 2], False),
    ([1, 2], [2, 1], False),
    ({}, {}, True),
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": 1}, {"a": 2}, False),
    ({"a": 1}, {"b": 1}, False),
    ({"a": 1}, {"a": 1, "b": 1}, False),
    ({"a": 1, "b": 1}, {"a": 1}, False),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
    ({"a": [{"b": True}]}, {"a": [{"b": 1}]}, False),
    (NAN, NAN, True),
    (NAN, float("nan"), False),
]


@pytest.mark.parametrize(("one", "other", "equal"), EQUAL)
def test_values_are_equal_deeply_and_by_value(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is same(other, one) is equal


@pytest.mark.parametrize(
    ("value", "size", "depth"),
    [
        (None, 8, 0), (1.5, 8, 0), ("", 2, 0), ("abc", 5, 0), ([], 2, 1), ({}, 2, 1),
        ([1, "ab", None], 2 + 3 + 8 + 4 + 8, 1), ({"ab": "c"}, 2 + 4 + 2 + 3, 1),
        ([[[]], []], 2 + 2 + (2 + 1 + 2) + 2, 3), ({"a": {"b": {}}, "c": []}, 2 + 8 + 2 + 9 + 2, 3),
    ],
)  # fmt: skip
def test_a_value_is_as_large_and_as_deep_as_its_parts(value: Any, size: int, depth: int) -> None:
    assert measure(value) == (size, depth)
    assert weigh(value, 10**6) == (size, depth)


@pytest.mark.parametrize(
    ("value", "containers"),
    [
        ([], 1),
        ([[], {}], 3),
        ([[[]]], 3),
        ([0] * 15, 1),
        ([0] * 16, 2),
        ([0] * 32, 3),
        ({str(n): [] for n in range(16)}, 18),
    ],
)
def test_a_value_is_weighed_within_so_many_containers(value: Any, containers: int) -> None:
    """Of a long one, each sixteen members count as one more."""
    assert weigh(value, containers) == measure(value)
    assert weigh(value, containers - 1) is None
    assert weigh("x" * 1_000, 0) == (1_002, 0)


def test_what_is_shared_is_weighed_once_and_counts_each_time() -> None:
    shared: list[Any] = [1]
    assert weigh([shared, shared], 2) == (2 + 2 + 2 * 11, 2)
    assert weigh([shared, [1]], 2) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"), (True, "boolean true"), (5, "number 5"), (0.5, "number 0.5"),
        ("a", "string 'a'"), ([1], "array [1]"), ({}, "object {}"),
    ],
)  # fmt: skip
def test_a_value_is_described_with_its_type(value: Any, said: str) -> None:
    assert described(value) == said
    assert str(mismatch("len", "a list", value)) == f"len: expected a list, got {said}"
    assert truth(value) is (value is not None)
    assert truth(False) is False
