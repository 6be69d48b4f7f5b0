"""What a program may take: what holds by itself, what an agent may name, what a host allows."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.workers.process.limits import Limits, limit_problems

MEBI = 1024 * 1024
ALL = {
    "memory_bytes": 1024 * MEBI,
    "cpu_s": None,
    "file_bytes": 64 * MEBI,
    "open_files": 256,
    "processes": 64,
    "disk_bytes": 256 * MEBI,
}
SAID = {"output_bytes": 8 * MEBI, "line_bytes": MEBI, "stderr_bytes": 64 * 1024}
NAMES = [*ALL, *SAID]


def told(given: Any, **most: int) -> list[tuple[str, str, str | None]]:
    found = list(limit_problems(given, most))
    assert {problem.code for problem in found} <= {"process.limits"}
    return [(problem.field, problem.message, problem.hint) for problem in found]


def test_without_a_word_these_hold() -> None:
    limits = Limits()
    assert limits.launched() == ALL
    assert {name: getattr(limits, name) for name in SAID} == SAID


def test_an_agent_changes_what_it_names_and_nothing_else() -> None:
    changed = Limits().changed({"cpu_s": 5, "memory_bytes": None, "line_bytes": 10})
    assert changed.launched() == {**ALL, "cpu_s": 5, "memory_bytes": None}
    assert (changed.output_bytes, changed.line_bytes) == (8 * MEBI, 10)
    assert Limits().changed({}) == Limits()


@pytest.mark.parametrize("given", [None, [], 5, "memory_bytes"])
def test_limits_are_an_object(given: Any) -> None:
    ((field, said, hint),) = told(given)
    assert (field, hint) == ("limits", None)
    assert said.startswith("expected an object of limits, got ")


def test_a_limit_that_there_is_not_is_told_with_the_one_that_may_be_meant() -> None:
    assert told({"memory_byte": 5}) == [
        (
            "limits.memory_byte",
            "expected a limit, got 'memory_byte'",
            "did you mean 'memory_bytes'?",
        )
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, 1.5, "5", True, []])
def test_a_limit_is_an_integer_above_nothing(name: str, value: Any) -> None:
    ((field, said, _),) = told({name: value})
    assert field == f"limits.{name}"
    assert said.startswith("expected an integer above 0, got ")


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_may_be_as_large_as_the_host_allows(name: str) -> None:
    assert told({name: 1}) == []
    assert told({name: 10**15}) == []
    assert told({name: 100}, **{name: 100}) == []
    assert told({name: 101}, **{name: 100}) == [
        (f"limits.{name}", "expected at most 100, as the host allows, got 101", None)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_limited_is_more_than_any_host_allows(name: str) -> None:
    if name in SAID:
        ((_, said, _),) = told({name: None})
        assert said == "expected an integer above 0, got null"
    else:
        assert told({name: None}) == []
        assert told({name: None}, **{name: 100}) == [
            (f"limits.{name}", "expected at most 100, as the host allows", None)
        ]


def test_each_that_is_wrong_is_told() -> None:
    found = told({"cpu_s": 0, "open_files": 5, "x": 1, "line_bytes": None})
    assert [field for field, _, _ in found] == ["limits.cpu_s", "limits.x", "limits.line_bytes"]
