"""What an author allows: where it may stand, what it reaches, and how a document keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.compiler.allow import ALLOWABLE, Allowances, allow_problems
from swarm.errors import Place, Problem

CODES = (
    "'agent.input', 'agent.unused', 'node.unreachable', 'path.unwritten', 'process.input', "
    "'run.input', 'text.or_value', 'verdict.unhandled'"
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({}, []),
        ({"$.agents[1]": ["agent.unused"], "$": ["text.or_value", "path.unwritten"]}, []),
        ({"$": []}, []),
        (5, [("$.allow", "expected lists of codes by place, got 5", None)]),
        (
            ["agent.unused"],
            [("$.allow", "expected lists of codes by place, got ['agent.unused']", None)],
        ),
        (
            {"$.a": "agent.unsed"},
            [
                (
                    '$.allow["$.a"]',
                    "expected a code that may be allowed, got 'agent.unsed'",
                    "did you mean 'agent.unused'?",
                )
            ],
        ),
        (
            {"$": ["agent.unused", 5, "agent.unknown"]},
            [
                (
                    '$.allow["$"]',
                    "expected a code that may be allowed, got 5",
                    f"those are {CODES}",
                ),
                (
                    '$.allow["$"]',
                    "expected a code that may be allowed, got 'agent.unknown'",
                    None,
                ),
            ],
        ),
    ],
)
def test_what_is_no_permission_is_told(
    value: Any, found: list[tuple[str, str, str | None]]
) -> None:
    told = [(p.at, p.message, p.hint) for p in allow_problems(value)]
    assert [one[:2] for one in told] == [one[:2] for one in found]
    for (_, _, hint), (_, _, expected) in zip(told, found, strict=True):
        assert expected is None or hint == expected
    assert {p.code for p in allow_problems(value)} <= {"blueprint.allow"}


def left(document: Any, *problems: Problem, **sources: str) -> tuple[list[Problem], Any]:
    allowed = Allowances(document, {name.replace("_", "."): t for name, t in sources.items()})
    return allowed.left(problems), allowed.to_wire()


def problem(
    code: str = "agent.unused", at: str = "$.agents[1]", line: int | None = 2, file: str = "a.lua"
) -> Problem:
    return Problem(code, "said", Place(file, line), at)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("one\ntwo -- allow: agent.unused\nthree", True),
        ("one\ntwo --allow: agent.unused", True),
        ("one\ntwo # allow:agent.unused", True),
        ("one\ntwo -- allow: path.unwritten , agent.unused", True),
        ("one\ntwo -- why -- allow: agent.unused", True),
        ("one\ntwo -- allow: agent.unused.more", False),
        ("one\ntwo -- allow: path.unwritten", False),
        ("one\ntwo -- allow agent.unused", False),
        ("one\ntwo allow: agent.unused", False),
        ("  -- allow: agent.unused\ntwo\nthree", True),
        ("# allow: agent.unused\ntwo", True),
        ("one -- allow: agent.unused\ntwo", False),
        ("one\ntwo\nthree -- allow: agent.unused", False),
        ("one\ntwo\n-- allow: agent.unused", False),
        ("", False),
    ],
)
def test_a_comment_allows_what_is_on_its_line_or_below_it(source: str, allowed: bool) -> None:
    found, wire = left({}, problem(), a_lua=source)
    assert (found == [], wire) == (allowed, {"$.agents[1]": ["agent.unused"]} if allowed else {})


def test_a_comment_two_lines_above_or_of_another_line_is_of_no_use() -> None:
    text = "-- allow: agent.unused\n\nthree\nfour"
    for line, allowed in ((1, True), (2, True), (3, False), (4, False), (None, False), (9, False)):
        found, _ = left({}, problem(line=line), a_lua=text)
        assert (found == []) is allowed


def test_on_the_first_line_nothing_stands_above() -> None:
    text = "one\ntwo\n-- allow: agent.unused"
    assert left({}, problem(line=1), a_lua=text)[0] != []


def test_comments_are_read_where_there_are_some() -> None:
    text = "one\n-- allow: agent.unused"
    assert left({}, problem(file="a.json"), a_json=text)[0] != []
    assert left({}, problem(file="b.lua"), a_lua=text)[0] != []
    assert left({}, problem(file="a.yaml"), a_yaml=text)[0] == []


@pytest.mark.parametrize(
    ("place", "allowed"),
    [("$.agents[1]", True), ("$.agents", True), ("$", True), ("$.agents[0]", False),
     ("$.agents[1].name", False), ("agents", False)],
)  # fmt: skip
def test_a_document_allows_a_place_and_all_that_is_in_it(place: str, allowed: bool) -> None:
    document = {"allow": {place: ["path.unwritten", "agent.unused"]}}
    found, wire = left(document, problem())
    assert (found == []) is allowed
    assert wire == {place: ["agent.unused", "path.unwritten"]}


@pytest.mark.parametrize("given", [{"$": "agent.unused"}, {"$": []}, {"$": [5]}, 5, None, []])
def test_what_is_no_permission_allows_nothing(given: Any) -> None:
    assert left({"allow": given}, problem())[0] != []
    assert left({}, problem())[1] == {}


def test_what_does_harm_is_never_allowed_and_of_the_rest_is_told_how() -> None:
    harm = problem("agent.unknown")
    document = {"allow": {"$": ["agent.unknown", "path.unwritten"]}}
    text = "one\ntwo -- allow: agent.unknown, path.unwritten"
    found, _ = left(document, harm, problem("path.unwritten"), problem(), a_lua=text)
    assert found[0] is harm
    assert [(p.code, p.silence) for p in found] == [
        ("agent.unknown", None),
        ("agent.unused", "allow: agent.unused"),
    ]
    for code in ALLOWABLE:
        assert left({}, problem(code))[0][0].silence == f"allow: {code}"


def test_places_and_codes_are_kept_in_their_order() -> None:
    document = {"allow": {"$.b": ["path.unwritten", "agent.unused"], "$.a": ["text.or_value"]}}
    text = "one\ntwo -- allow: agent.unused"
    _, wire = left(document, problem(), problem("agent.unused", "$.aa"), a_lua=text)
    assert list(wire.items()) == [
        ("$.a", ["text.or_value"]),
        ("$.aa", ["agent.unused"]),
        ("$.agents[1]", ["agent.unused"]),
        ("$.b", ["agent.unused", "path.unwritten"]),
    ]
