from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.blueprint.document import (
    DOCUMENT_LIMITS,
    YAML_BYTES,
    admit_document,
    read_json,
    read_yaml,
)
from swarm.blueprint.json_lines import lines_of
from swarm.blueprint.shapes import is_array, is_object
from swarm.errors import BlueprintInvalid, Place, Problem


def _refusal(read: Any, text: Any) -> Problem:
    with pytest.raises(BlueprintInvalid) as caught:
        read(text, file="a")
    (problem,) = caught.value.problems
    return problem


def test_json_knows_the_line_of_every_value() -> None:
    written = read_json('{\n  "a b": [1,\n  {"c": {}}],\n\n  "d": "x\\ny"}', file="a.json")
    lines = {at: place.line for at, place in written.places.items()}
    assert lines == {
        "$": 1,
        '$["a b"]': 2,
        '$["a b"][0]': 2,
        '$["a b"][1]': 3,
        '$["a b"][1].c': 3,
        "$.d": 5,
    }
    assert written.places["$"].file == "a.json"


def test_braces_and_escaped_quotes_in_strings_do_not_confuse_the_lines() -> None:
    assert lines_of('{"a": "}\\"]{",\n"b": 1}') == {"$": 1, "$.a": 1, "$.b": 2}


def _places(value: Any, at: str = "$") -> set[str]:
    found = {at}
    if is_object(value):
        for name, inner in value.items():
            found |= _places(inner, f"{at}.{name}")
    elif is_array(value):
        for i, inner in enumerate(value):
            found |= _places(inner, f"{at}[{i}]")
    return found


_NAMES = st.text("abc", min_size=1, max_size=3)
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('ab"\\\n{}[],: ', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
)


@given(_VALUES, st.sampled_from([None, 1]))
def test_json_and_yaml_agree_on_values_and_lines(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    from_json, from_yaml = read_json(text), read_yaml(text)
    assert from_json.document == from_yaml.document == value
    assert set(from_json.places) == _places(value)
    assert from_json.places == from_yaml.places


def test_yaml_is_read_by_the_json_schema() -> None:
    text = (
        "{a: no, b: on, c: 014, d: 12:30:45, e: .inf, f: 1_000, g: ~, h: 0x1F,"
        " i: 2024-01-01, j: null, k: true, l: -1.5e3, m: 7, n: '7', o: \"true\"}"
    )
    assert read_yaml(text).document == {
        "a": "no",
        "b": "on",
        "c": "014",
        "d": "12:30:45",
        "e": ".inf",
        "f": "1_000",
        "g": "~",
        "h": "0x1F",
        "i": "2024-01-01",
        "j": None,
        "k": True,
        "l": -1500.0,
        "m": 7,
        "n": "7",
        "o": "true",
    }


def test_a_yaml_version_does_not_bring_old_words_back() -> None:
    assert read_yaml("%YAML 1.1\n---\na: no\n").document == {"a": "no"}


def test_yaml_lines_are_those_of_the_keys() -> None:
    written = read_yaml("a:\n  - b: 1\n    c:\n    - d\n", file="a.yaml")
    assert written.places["$.a[0].c"] == Place("a.yaml", 3)
    assert written.places["$.a[0].c[0]"] == Place("a.yaml", 4)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "a: [", "\ta: 1", "a: \x00", "? [1]\n: 2", "a: 'x", "[a: b: c]", "%FOO"],
)
def test_what_is_no_yaml_is_one_sentence(text: str) -> None:
    problem = _refusal(read_yaml, text)
    assert problem.code == "document.yaml"
    assert "\n" not in str(problem)


@pytest.mark.parametrize("text", ["[ " * 5_000, "? " * 20_000, "- " * 5_000, "[" * 1_000])
def test_deep_yaml_is_refused(text: str) -> None:
    assert _refusal(read_yaml, text).code == "document.yaml"


def test_large_yaml_is_refused_and_json_of_that_size_is_not() -> None:
    text = json.dumps({"a": "x" * YAML_BYTES})
    assert _refusal(read_yaml, text).hint == "write it as JSON"
    assert read_json(text).document["a"]


def test_a_lone_surrogate_is_refused_on_its_line() -> None:
    assert _refusal(read_yaml, 'a:\n  b: "\\ud800"').where == Place("a", 2)
    assert _refusal(read_json, '{"a":\n {"b":\n  "\\ud800"}}').where == Place("a", 2)


@pytest.mark.parametrize("text", ["", "nope", "[1,]", "{'a': 1}", '{"a": 1} 2', '"\t"'])
def test_what_is_no_json_is_one_sentence(text: str) -> None:
    problem = _refusal(read_json, text)
    assert (problem.code, problem.where.line) == ("document.json", 1)


@pytest.mark.parametrize("levels", [DOCUMENT_LIMITS.value_depth + 1, 2_000, 100_000])
def test_deep_json_is_refused(levels: int) -> None:
    assert _refusal(read_json, "[" * levels + "]" * levels).code == "document.json"


def test_json_of_the_allowed_depth_is_read() -> None:
    levels = DOCUMENT_LIMITS.value_depth
    assert read_json("[" * levels + "]" * levels).document


def test_large_json_is_refused() -> None:
    assert "expected" in _refusal(read_json, '"' + "x" * (4 * 1024 * 1024) + '"').message


def test_an_object_comes_in_as_a_private_copy() -> None:
    mine: dict[str, Any] = {"agents": []}
    written = admit_document(mine)
    mine["agents"].append(1)
    assert written.document == {"agents": []}
    assert written.places == {}


def test_an_object_that_json_cannot_say_is_refused() -> None:
    problem = _refusal(admit_document, {"agents": ({},)})
    assert problem.code == "document.value"
    assert problem.message.startswith("$.agents: ")
