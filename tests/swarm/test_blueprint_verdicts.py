"""The words of an agent's verdicts: which may be, what is said of others, which it could say."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.blueprint.verdicts import one_of_words, verdict_problems, word_fault


def told(words: Any, schema: Any = None) -> list[str]:
    settings = {"verdict": words} if schema is None else {"verdict": words, "output_schema": schema}
    found = list(verdict_problems(settings, "$.agents[0]"))
    assert all(problem.code == "verdict.words" and problem.hint is None for problem in found)
    return [
        f"{problem.at.removeprefix('$.agents[0].verdict')}: {problem.message}" for problem in found
    ]


def test_words_are_listed_in_one_order() -> None:
    assert one_of_words(["B"]) == "'B'"
    assert one_of_words(["B", "A"]) == "'A' or 'B'"
    assert one_of_words(("C", "A", "B")) == "'A', 'B' or 'C'"


@pytest.mark.parametrize(
    ("got", "sentence", "hint"),
    [
        ("pass", "expected 'BLOCKED' or 'PASS', got 'pass'", "did you mean 'PASS'?"),
        (
            "\uff30\uff21\uff33\uff33",
            "expected 'BLOCKED' or 'PASS', got '\uff30\uff21\uff33\uff33'",
            "did you mean 'PASS'?",
        ),
        ("BLOKED", "expected 'BLOCKED' or 'PASS', got 'BLOKED'", "did you mean 'BLOCKED'?"),
        ("nothing", "expected 'BLOCKED' or 'PASS', got 'nothing'", None),
        (5, "expected 'BLOCKED' or 'PASS', got 5", None),
        (["PASS"], "expected 'BLOCKED' or 'PASS', got ['PASS']", None),
    ],
)
def test_a_wrong_word_is_told_with_the_one_that_was_meant(
    got: Any, sentence: str, hint: str | None
) -> None:
    found = word_fault(got, ["PASS", "BLOCKED"])
    assert found[0] == sentence
    assert (found[1] or "").partition(" what was")[0] == (hint or "")
    whose = word_fault(got, ["PASS", "BLOCKED"], ", of 'ada',")[0]
    assert whose == sentence.replace("'PASS', got", "'PASS', of 'ada', got")


def test_letters_that_only_look_right_are_written_out() -> None:
    odd = "did you mean 'PASS'? what was written is '\\u0420ASS'"
    assert word_fault("\u0420ASS", ["PASS"])[1] == odd
    # Where they are the word's own, or plain ones, there is nothing to write out.
    assert word_fault("\u00c9TE", ["\u00c9TES"])[1] == "did you mean '\u00c9TES'?"
    assert word_fault("ETES", ["\u00c9TES"])[1] == "did you mean '\u00c9TES'?"


@pytest.mark.parametrize("words", [None, "PASS", [], ["PASS", ""], ["PASS", 5], {"PASS": 1}])
def test_what_is_no_list_of_words_is_left_to_the_model(words: Any) -> None:
    assert told(words) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["PASS", "not yet", "\u00e9t\u00e9", "\u0434\u0430"], []),
        (["x" * 64], []),
        (
            ["x" * 65],
            ["[0]: expected a word of at most 64 characters that can be seen, got '"],
        ),
        (
            ["A", " PASS"],
            ["[1]: expected a word of at most 64 characters that can be seen, got ' PASS'"],
        ),
        (
            ["PA\u200bSS"],
            ["[0]: expected a word of at most 64 characters that can be seen, got 'PA\\\\u200bSS'"],
        ),
        # Of one that cannot be read nothing more is said.
        (
            ["A ", "A "],
            [
                "[0]: expected a word of at most 64 characters that can be seen, got 'A '",
                "[1]: expected a word of at most 64 characters that can be seen, got 'A '",
            ],
        ),
        (
            ["P\u0410SS "],
            ["[0]: expected a word of at most 64 characters that can be seen, got '"],
        ),
        (["A", "B", "A"], ["[2]: expected each word once, got 'A' again"]),
        (["pass", "PASS"], ["[1]: expected words that nobody confuses, got 'PASS' beside 'pass'"]),
        (
            ["P\u0410SS", "YES"],
            ["[0]: expected letters of one alphabet, got 'P\\u0410SS'"],
        ),
        (
            ["a", "A", "a", "\u0430b"],
            [
                "[1]: expected words that nobody confuses, got 'A' beside 'a'",
                "[2]: expected each word once, got 'a' again",
                "[3]: expected letters of one alphabet, got '\\u0430b'",
            ],
        ),
        ([f"w{n}" for n in range(64)], []),
        ([f"w{n}" for n in range(65)], [": expected at most 64 words, got 65"]),
        ([" w"] * 65, [": expected at most 64 words, got 65"]),
    ],
)
def test_what_is_wrong_with_words_is_told_of_each(words: list[str], found: list[str]) -> None:
    sentences = told(words)
    assert len(sentences) == len(found)
    for sentence, start in zip(sentences, found, strict=True):
        assert sentence == start or (start.endswith("'") and sentence.startswith(start))


LETS: list[tuple[Any, str | None]] = [
    (None, None),
    (True, None),
    ({}, None),
    ({"type": "string"}, None),
    ({"type": "string", "enum": ["PASS", "BLOCKED"]}, None),
    ({"type": "string", "enum": ["BLOCKED"]}, "PASS"),
    ({"type": ["string", "null"], "maxLength": 4}, "BLOCKED"),
    # A word may stand in an object, or be one of several types: nothing is plain.
    ({"type": ["string", "object"], "maxLength": 4}, None),
    ({"type": "object"}, None),
    ({"type": "object", "properties": {"verdict": {"maxLength": 4}}}, "BLOCKED"),
    ({"properties": {"verdict": {"enum": ["PASS"]}}}, "BLOCKED"),
    ({"properties": {"verdict": False}}, "PASS"),
    ({"properties": {"other": {"maxLength": 1}}}, None),
    ({"properties": 5}, None),
    ({"type": ["object"], "properties": {"verdict": {"maxLength": 1}}}, None),
    ({"properties": {"verdict": {"$ref": "#/$defs/x", "maxLength": 1}}}, None),
    ({"type": "integer"}, "PASS"),
    # What is no schema is told of elsewhere.
    ({"type": "string", "maxLength": "many"}, None),
]


@pytest.mark.parametrize(("schema", "refused"), LETS)
def test_a_word_that_the_agents_own_schema_refuses_is_found(
    schema: Any, refused: str | None
) -> None:
    said = f": expected words that 'output_schema' lets pass, got {refused!r}"
    assert told(["PASS", "BLOCKED"], schema) == ([] if refused is None else [said])
    # Of words that are none the first mistake is told.
    assert all("lets pass" not in one for one in told(["PASS", "PASS"], schema))
