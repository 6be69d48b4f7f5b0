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
