"""Values held against schemas: what is said of a misfit, and what one value may cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swarm.blueprint.fitting import UNKNOWN, Fitter, misfit, mismatch
from swarm.blueprint.schemas import schema_problems


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"enum": ["a", 1]}, "b", "$: expected one of 'a', 1, got 'b'"),
        ({"const": 1}, 2, "$: expected 1, got 2"),
        ({"minimum": 3}, 2, "$: expected a number of at least 3, got 2"),
        ({"maximum": 3}, 4, "$: expected a number of at most 3, got 4"),
        ({"exclusiveMinimum": 3}, 3, "$: expected a number above 3, got 3"),
        ({"exclusiveMaximum": 3}, 3, "$: expected a number below 3, got 3"),
        ({"multipleOf": 2}, 3, "$: expected a multiple of 2, got 3"),
        ({"minLength": 2}, "a", "$: expected a string of at least 2 characters, got 'a'"),
        ({"maxLength": 1}, "ab", "$: expected a string of at most 1 characters, got 'ab'"),
        ({"minItems": 1}, [], "$: expected an array of at least 1, got []"),
        ({"maxItems": 1}, [1, 2], "$: expected an array of at most 1, got [1, 2]"),
        ({"uniqueItems": True}, [1, 1], "$: expected each item once, got [1, 1]"),
        ({"type": "object"}, 1, "$: expected an object, got 1"),
        ({"type": "array"}, 1, "$: expected an array, got 1"),
        ({"type": "integer"}, "1", "$: expected an integer, got '1'"),
        ({"type": "string"}, 1, "$: expected a string, got 1"),
        ({"type": "null"}, 1, "$: expected null, got 1"),
        ({"type": ["boolean", "null"]}, 1, "$: expected a boolean or null, got 1"),
        ({"required": ["a", "b"]}, {"a": 1}, "$: expected a field 'b', got none"),
        (
            {"required": ["name"]},
            {"nam": 1},
            "$: expected a field 'name', got none — was 'nam' meant for it?",
        ),
        (
            {"properties": {"name": {}}, "additionalProperties": False},
            {"name": 1, "nme": 2},
            "$: expected no field 'nme', got one — did you mean 'name'?",
        ),
        ({"additionalProperties": False}, {"a": 1}, "$: expected no field 'a', got one"),
        (
            {"additionalProperties": {"type": "null"}},
            {"a": 1},
            "$.a: expected null, got 1",
        ),
        (
            {"properties": {"a": {"items": {"minimum": 0}}}},
            {"a": [0, -1]},
            "$.a[1]: expected a number of at least 0, got -1",
        ),
        ({"minProperties": 1}, {}, "$: expected what the schema says: {} should be non-empty"),
        (
            {"unevaluatedItems": False},
            [1],
            (
                "$: expected what the schema says: Unevaluated items are not allowed "
                "(1 was unexpected)"
            ),
        ),
        (False, 1, "$: expected what the schema says: False schema does not allow 1"),
    ],
)
def test_a_misfit_is_told_with_its_place_what_was_expected_and_what_came(
    schema: Any, value: Any, sentence: str
) -> None:
    found = misfit(schema, value)
    assert found is not None
    assert (found.code, str(found)) == ("schema", sentence)
    assert mismatch(schema, value) == sentence


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (True, 1),
        ({}, {"a": 1}),
        ({"exclusiveMinimum": 3}, 4),
        ({"maxLength": 1}, "a"),
        ({"uniqueItems": False}, [1, 1]),
        ({"uniqueItems": True}, "aa"),
        ({"uniqueItems": True}, [[1], [2], [], [1, 2]]),
        ({"uniqueItems": True}, [1, 2, "1", True, [1], {"a": 1}, {"a": 2}, 1.5]),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"a": 1}),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "null"}}}, None),
    ],
)
def test_what_fits_is_not_told_of(schema: Any, value: Any) -> None:
    assert misfit(schema, value) is None
    assert mismatch(schema, value) is None


@pytest.mark.parametrize(
    "twice",
    [[1, 1.0], [{"a": 1}, {"a": 1.0}], [[1], [1.0]], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]],
)
def test_items_are_the_same_however_they_are_spelled(twice: list[Any]) -> None:
    assert misfit({"uniqueItems": True}, twice) is not None


@pytest.mark.parametrize(("last", "whole"), [(18, True), (19, True), (20, False)])
def test_a_sentence_is_cut_to_300_characters(last: int, whole: bool) -> None:
    words = [*(f"{n:028}" for n in range(8)), "x" * last]
    sentence = f"expected one of {', '.join(map(repr, words))}, got 1"
    assert len(sentence) == 281 + last
    found = misfit({"enum": words}, 1)
    assert found is not None
    assert found.message == (sentence if whole else sentence[:299] + "…")


def test_the_choice_is_made_among_32_misfits() -> None:
    """The most telling is the one least deep; what comes later is not looked for."""
    schema = {"items": {"items": {"type": "null"}}, "maxItems": 0}
    for many, told in ((31, "$: expected an array of at most 0"), (32, "$[0][31]: expected null")):
        assert str(misfit(schema, [[1] * many])).startswith(told)


def test_a_part_of_a_schema_is_held_against_a_value_by_itself() -> None:
    part = {"$ref": "#/$defs/n"}
    fitter = Fitter({"type": "object", "$defs": {"n": {"type": "integer"}}})
    assert fitter.misfit(1) is not None
    assert fitter.misfit(1, part=part) is None
    assert str(fitter.misfit("1", part=part)) == "$: expected an integer, got '1'"
    # It does its work once more for each value, from the start.
    assert fitter.misfit({}) is None


def test_numbers_that_cannot_be_divided_are_told_as_such() -> None:
    assert str(misfit({"multipleOf": 0.1}, 10**400)) == (
        "$: expected smaller numbers, or no 'multipleOf' for them"
    )


TOO_LONG = (
    "$: expected a value that can be held against its schema, got one that takes too long"
    " — make the value or the schema smaller"
)


def _doubling(levels: int) -> dict[str, Any]:
    """Return a schema each of whose levels is looked at twice by the one above."""
    defs: dict[str, Any] = {"0": {"type": "integer"}}
    for level in range(levels):
        both = {"$ref": f"#/$defs/{level}"}
        defs[str(level + 1)] = {"allOf": [both, both]}
    return {"$ref": f"#/$defs/{levels}", "$defs": defs}


def test_references_that_double_the_work_are_given_up_on() -> None:
    assert misfit(_doubling(8), 1) is None
    assert str(misfit(_doubling(40), 1)) == TOO_LONG


def _spent(schema: Any, value: Any) -> int:
    from swarm.blueprint import fitting

    misfit(schema, value)
    return 2_000_000 - fitting._left.get()[0]  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("schema", "value", "work"),
    [
        ({}, 1, 0),
        # Four for each keyword,
        ({"type": "integer"}, 1, 4),
        ({"type": "integer", "minimum": 0}, 1, 8),
        # and one for each member of what it says,
        ({"type": ["integer", "null"]}, 1, 6),
        ({"enum": [1, 2, 3]}, 1, 7),
        ({"properties": {"a": {}, "b": {}}}, 1, 6),
        # and for each of the value, where it looks at each;
        ({"items": {}}, [1, 2, 3], 7),
        ({"uniqueItems": True}, [1, 2, 3], 7),
        ({"additionalProperties": {}}, {"a": 1, "b": 2}, 6),
        ({"propertyNames": {}}, {"a": 1, "b": 2}, 6),
        ({"contains": {}}, [1, 2], 6),
        ({"items": {}}, "abc", 4),
        ({"minItems": 1}, [1, 2, 3], 4),
        # sixteen for a reference that is followed,
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "null"}}}, None, 20),
        # and for what does not fit and is printed, by its size.
        ({"type": "integer"}, "x" * 640, 4 + 10),
        ({"properties": {"a": {"type": "integer"}}}, {"a": "x" * 640}, 5 + 4 + 10),
    ],
)
def test_what_is_looked_at_is_what_a_value_costs(schema: Any, value: Any, work: int) -> None:
    assert _spent(schema, value) == work


def test_a_value_may_cost_two_million() -> None:
    most = 2_000_000 - 4
    assert misfit({"uniqueItems": False}, [None] * most) is None
    assert str(misfit({"uniqueItems": False}, [None] * (most + 1))) == TOO_LONG


# -- values of which a part is unknown yet ------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"type": "string"}, UNKNOWN, None),
        ({"type": "string"}, {"a": UNKNOWN}, "$: expected a string, got an object"),
        ({"type": "object"}, [UNKNOWN, 1], "$: expected an object, got an array of 2"),
        ({"required": ["a", "b"]}, {"a": UNKNOWN}, "$: expected a field 'b', got none"),
        (
            {"properties": {"name": {}}, "additionalProperties": False},
            {"nme": UNKNOWN},
            "$: expected no field 'nme', got one — did you mean 'name'?",
        ),
        ({"properties": {"a": False}}, {"a": UNKNOWN}, None),
        ({"maxItems": 1}, [UNKNOWN, 1], "$: expected an array of at most 1, got an array of 2"),
        ({"items": {"type": "null"}}, [UNKNOWN, 1], "$[1]: expected null, got 1"),
        ({"allOf": [{"required": ["b"]}]}, {"a": UNKNOWN}, "$: expected a field 'b', got none"),
        (
            {"dependentRequired": {"a": ["b"]}},
            {"a": UNKNOWN},
            "$: expected what the schema says: 'b' is a dependency of 'a'",
        ),
        ({"not": {"type": "object"}}, {"a": UNKNOWN}, None),
        ({"anyOf": [{"type": "string"}, {"required": ["b"]}]}, {"a": UNKNOWN}, None),
        ({"if": {"properties": {"a": {"const": 1}}}, "then": False}, {"a": UNKNOWN}, None),
        ({"if": {"properties": {"a": {"const": 1}}}, "else": False}, {"a": UNKNOWN}, None),
        ({"contains": {"const": 1}}, [UNKNOWN], None),
        ({"enum": [[1]]}, [UNKNOWN], None),
        ({"uniqueItems": True}, [UNKNOWN, UNKNOWN], None),
        ({"minimum": 3, "multipleOf": 2, "minLength": 1}, UNKNOWN, None),
    ],
)
def test_of_a_value_that_is_partly_known_only_what_is_certain_is_told(
    schema: dict[str, Any], value: Any, sentence: str | None
) -> None:
    found = Fitter(schema).misfit(value, purse=[100_000])
    assert (None if found is None else str(found)) == sentence


_NAMES = st.sampled_from(["a", "b", "then", "not"])
_SCALARS = st.sampled_from([None, True, 0, 1, 1.5, "", "a", "ab"])
_VALUES = st.recursive(
    _SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(_NAMES, of, max_size=3)
)
_PARTLY = st.recursive(
    _SCALARS | st.just(UNKNOWN),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(_NAMES, of, max_size=3),
)
_TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])


def _schemas(of: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    few, some = st.integers(0, 3), st.lists(of, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES,
            "enum": st.lists(_VALUES, min_size=1, max_size=3),
            "const": _VALUES,
            "minimum": few,
            "minLength": few,
            "minItems": few,
            "maxItems": few,
            "minProperties": few,
            "maxProperties": few,
            "uniqueItems": st.booleans(),
            "required": st.lists(_NAMES, unique=True, max_size=2),
            "properties": st.dictionaries(_NAMES, of, max_size=3),
            "additionalProperties": of,
            "propertyNames": of,
            "dependentRequired": st.dictionaries(
                _NAMES, st.lists(_NAMES, unique=True, max_size=2), max_size=2
            ),
            "dependentSchemas": st.dictionaries(_NAMES, of, max_size=2),
            "items": of,
            "prefixItems": some,
            "contains": of,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": of,
            "if": of,
            "then": of,
            "else": of,
        },
    )


_SCHEMAS = st.recursive(st.booleans() | _schemas(st.booleans()), _schemas, max_leaves=6)


def _completed(value: Any, fill: Any) -> Any:
    """Put *fill* in the place of whatever is unknown."""
    if isinstance(value, dict):
        return {name: _completed(member, fill) for name, member in value.items()}
    if isinstance(value, list):
        return [_completed(item, fill) for item in value]
    return fill if value is UNKNOWN else value


@settings(max_examples=200, deadline=None)
@given(_SCHEMAS, _PARTLY, st.lists(_VALUES, min_size=1, max_size=8))
def test_what_is_certain_stays_wrong_whatever_the_rest_is(
    schema: Any, value: Any, fills: list[Any]
) -> None:
    assume(not schema_problems(schema))
    if Fitter(schema).misfit(value, purse=[100_000]) is not None:
        for fill in fills:
            assert Fitter(schema).misfit(_completed(value, fill)) is not None
