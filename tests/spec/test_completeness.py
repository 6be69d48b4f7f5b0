"""The cases say something of everything that the specification names.

The tables below are written from docs/flow-ir.md, not from the implementation.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.spec.cases import CASES, Case, is_array, is_object

JSON = Any
Mark = str

NODE_FIELDS = {
    "step": "ref in out timeout_s retry",
    "seq": "children",
    "branch": "cond then else",
    "loop": "counter cond body max exhausted_at",
    "fanout": "items bind body join out collect index limit quorum",
    "try": "body catch err_at error_at on finally restore",
    "assign": "at value",
}
RETRY_FIELDS = "max_attempts delay_s factor max_delay_s jitter on"
OPS = (
    "path lit eq ne lt lte gt gte not and or exists add sub mul div mod len in call_extern "
    "object array default if get concat idiv map filter any every fail"
)
JOINS = "all any race all_settled quorum"
EXTERNS = (
    "json.encode json.decode string.lower string.upper string.trim string.split string.join "
    "string.contains string.starts_with string.ends_with string.replace string.sub "
    "string.format math.min math.max math.abs math.floor math.ceil math.round list.sum "
    "list.sort list.slice list.concat list.range list.reverse list.unique object.keys "
    "object.values object.merge object.without"
)
CODES = (
    "malformed value.too_large type.mismatch path.missing path.not_writable arith.overflow "
    "arith.zero_division extern.unknown cond.not_boolean step.failed step.timeout "
    "fanout.empty fanout.all_failed fanout.no_quorum run.cancelled fuel.exhausted "
    "budget.exhausted worker.error text.or_value"
)
FOUND_BY_CHECK = ("extern.unknown", "text.or_value")


def _marks(case: Case) -> set[Mark]:
    """Name every kind, field, op, join and extern that the case makes use of."""
    return set(_walk(case.raw.get("flow"))) | set(_walk(case.raw.get("expr")))


def _walk(value: JSON) -> Iterator[Mark]:
    if is_array(value):
        for item in value:
            yield from _walk(item)
    elif is_object(value):
        yield from _named(value)
        if value.get("op") != "lit":  # a literal only looks like something
            for item in value.values():
                yield from _walk(item)


def _named(value: dict[str, JSON]) -> Iterator[Mark]:
    kind = value.get("kind")
    if isinstance(kind, str):
        yield kind
        yield from (f"{kind}.{name}" for name in value)
        yield f"join {value.get('join')}"
    if isinstance(value.get("retry"), dict):
        yield from (f"retry.{name}" for name in value["retry"])
    yield f"op {value.get('op')}"
    if value.get("op") == "call_extern":
        yield f"extern {value.get('ref')}"
    if value.get("op") == "fail":
        yield from (f"fail.{name}" for name in value)


def _passes(case: Case) -> bool:
    return bool(case.expect.keys() & {"value", "value_at"}) or any(
        "value" in choice for choice in case.expect.get("one_of", ())
    )


def _fails(case: Case) -> bool:
    return bool(case.expect.keys() & {"fails", "malformed", "invalid"})


def _required() -> list[Mark]:
    marks = [*NODE_FIELDS, "fail.data", "fail.cause_code"]
    marks += [f"{kind}.{name}" for kind, names in NODE_FIELDS.items() for name in names.split()]
    marks += [f"{kind}.id" for kind in NODE_FIELDS]
    marks += [f"retry.{name}" for name in RETRY_FIELDS.split()]
    marks += [f"op {op}" for op in OPS.split()]
    marks += [f"join {join}" for join in JOINS.split()]
    return marks + [f"extern {name}" for name in EXTERNS.split()]


PASSING = Counter(mark for case in CASES if _passes(case) for mark in _marks(case))
FAILING = Counter(mark for case in CASES if _fails(case) for mark in _marks(case))


@pytest.mark.parametrize("mark", _required())
def test_every_part_of_the_language_has_a_passing_and_a_failing_case(mark: Mark) -> None:
    assert PASSING[mark], f"no case succeeds with {mark}"
    if not mark.endswith(".id"):
        assert FAILING[mark], f"no case fails with {mark}"


def test_ids_and_implicit_have_failing_cases() -> None:
    assert any(FAILING[f"{kind}.id"] for kind in NODE_FIELDS)
    assert any(FAILING[f"{kind}.implicit"] for kind in NODE_FIELDS)
    assert all(PASSING[f"{kind}.implicit"] for kind in NODE_FIELDS)


def _codes(case: Case) -> set[str]:
    expected = [case.expect, *case.expect.get("one_of", ())]
    found = set(case.expect.get("invalid", ())) | set(case.raw.get("invalid_too", ()))
    for part in expected:
        fails = part.get("fails", {})
        found |= {fails.get("code"), fails.get("cause_code"), *fails.get("code_in", ())}
        found |= {"malformed"} if "malformed" in part else set()
    return {code for code in found if code}


@pytest.mark.parametrize("code", CODES.split())
def test_every_error_code_has_a_case_that_ends_with_it_and_one_near_it_that_does_not(
    code: str,
) -> None:
    rules = {case.raw["rule"] for case in CASES if code in _codes(case)}
    assert rules, f"no case ends with {code}"
    others = [case for case in CASES if case.raw["rule"] in rules and code not in _codes(case)]
    near = [case for case in others if _passes(case) or "parsed" in case.expect]
    assert near or code == "run.cancelled", f"no case beside those of {code} succeeds"


@pytest.mark.parametrize(
    "code",
    sorted(set(CODES.split()) - {"malformed", "run.cancelled", "fuel.exhausted", "text.or_value"}),
)
def test_every_error_of_a_flow_that_can_be_caught_is_caught_somewhere(code: str) -> None:
    def catches(case: Case) -> bool:
        return _passes(case) and '"try"' in json.dumps(case.raw) and code in json.dumps(case.raw)

    named = {"step.failed", "worker.error"}  # these are caught in many cases, unnamed
    assert code in named or any(catches(case) for case in CASES), f"nothing catches {code}"


def test_names_are_sentences_of_their_own() -> None:
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(" " in name for name in names)


def test_every_case_names_its_rule() -> None:
    assert [case.name for case in CASES if not re.match(r"§[1-5] \S", case.raw["rule"])] == []


def test_there_are_many_cases() -> None:
    assert len(CASES) > 1_300
    assert len({case.chapter for case in CASES}) > 25


def test_every_reading_of_an_unclear_rule_is_marked() -> None:
    """A set of codes stands for a rule that does not name one: it needs a note."""
    unclear = [case for case in CASES if "code_in" in case.expect.get("fails", {})]
    assert [case.name for case in unclear if len(case.raw.get("note", "")) < 10] == []
