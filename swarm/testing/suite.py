"""A test script, read: its cases, what their agents answer, what is expected of them.

The script runs in the sandbox and returns plain tables with the lines of their calls
(`lua_stdlib/flow/test.lua`). Everything that is wrong with them is found here, all of it at
once and before anything runs: what cannot be meant is no test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from anyio import to_thread

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import suggest
from swarm.compiler.source import read_source
from swarm.errors import Place, Problem, ScriptFailed, SwarmError
from swarm.ports.scripts import Script, ScriptRunner
from swarm.testing.cast import Answers, Real, Scripted
from swarm.testing.expectations import EXPECTATIONS
from swarm.testing.scripting import answer_of, plain_answer

__all__ = ("Case", "Expectation", "Suite", "SuiteInvalid", "read_suite")

_CASE = frozenset({"input", "answers", "expect", "budget"})
_SUITE = frozenset({"blueprint", "cases", "answers"})


class SuiteInvalid(SwarmError):
    """A test script with mistakes; `problems` holds all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("case.invalid", str(problems[0]))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that is to hold of a run: its name in `flow.test`, and its arguments."""

    name: str
    arguments: tuple[Any, ...]
    where: Place


@dataclass(frozen=True, slots=True)
class Case:
    """One run, and what is expected of it; `answers` has those of the suite in it."""

    name: str
    where: Place
    input: Any
    answers: Answers
    expect: tuple[Expectation, ...]
    budget: Mapping[str, Any] | None
    given: Mapping[str, Place] = field(default_factory=dict[str, Place])


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one test script; `shared` are the answers that hold in each of them."""

    file: str
    where: Place
    blueprint: str
    cases: tuple[Case, ...]
    shared: Answers
    given: Mapping[str, Place]


async def read_suite(file: str, scripts: ScriptRunner) -> Suite:
    """Run a test script and read what it returns.

    Raises: SuiteInvalid, with every mistake; BlueprintInvalid, where the file is no text.
    """
    text = await to_thread.run_sync(read_source, file)
    try:
        told = await scripts.author(Script(file, text), folder=Path(file).parent)
    except ScriptFailed as e:
        raise SuiteInvalid([Problem(e.code, e.bare, e.where or Place(file))]) from e
    return _Reader(file).suite(told)


class _Reader:
    """Reads one script's tables; `found` are the mistakes."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.found: list[Problem] = []

    def suite(self, told: Any) -> Suite:
        if not _is_made(told, "suite"):
            said = f"expected a test script to return test.suite {{ … }}, got {shorten(told)}"
            raise SuiteInvalid([Problem("case.malformed", said, Place(self._file))])
        where, spec = _where(told), told["arguments"][0]
        self._names(spec, _SUITE, "test.suite", where)
        blueprint = spec.get("blueprint")
        if not isinstance(blueprint, str) or not blueprint:
            said = f"expected the path of a blueprint as 'blueprint', got {shorten(blueprint)}"
            self._tell("test.suite", said, where)
        shared, given = self._answers(spec.get("answers"), "test.suite", where)
        cases = tuple(self._cases(spec.get("cases"), where, shared, given))
        if self.found:
            raise SuiteInvalid(self.found)
        path = str(Path(self._file).parent / str(blueprint))
        return Suite(self._file, where, path, cases, shared, given)

    def _cases(
        self, told: Any, where: Place, shared: Answers, given: Mapping[str, Place]
    ) -> Iterator[Case]:
        listed: list[Any] = told if is_array(told) else []
        if not listed:
            self._tell("test.suite", f"expected a list of cases, got {shorten(told)}", where)
        names = set[str]()
        for i, one in enumerate(listed):
            if not _is_made(one, "case") or len(one["arguments"]) != 2:
                hint = 'write test.case "what holds" { … }'
                said = f"cases[{i + 1}]: expected a case, got {_shown(one)}"
                self._tell("test.suite", said, where, hint)
                continue
            name, spec = one["arguments"]
            if name in names:
                self._tell(
                    f"test.case {name!r}", "expected each name once, got it again", _where(one)
                )
            names.add(name)
            yield self._case(name, spec, _where(one), shared, given)

    def _case(
        self, name: str, spec: Any, where: Place, shared: Answers, given: Mapping[str, Place]
    ) -> Case:
        by = f"test.case {name!r}"
        self._names(spec, _CASE, by, where)
        own, places = self._answers(spec.get("answers"), by, where)
        expect = tuple(self._expectations(spec.get("expect"), by, where))
        if not expect:
            said = "expected something that is to hold in 'expect', got nothing"
            self.found.append(Problem("case.empty", f"{by}: {said}", where))
        budget = spec.get("budget")
        return Case(
            name, where, spec.get("input"), {**shared, **own}, expect, budget, {**given, **places}
        )

    def _expectations(self, told: Any, by: str, where: Place) -> Iterator[Expectation]:
        listed: list[Any] = told if is_array(told) else ([] if not told else [told])
        for i, one in enumerate(listed):
            name = one["__swarm"].removeprefix("test.") if _is_made(one) else ""
            if name not in EXPECTATIONS:
                hint = 'such as test.ctx("ctx.verdict", "PASS")'
                said = f"expect[{i + 1}]: expected an expectation, got {_shown(one)}"
                self._tell(by, said, _where(one) if _is_made(one) else where, hint)
                continue
            yield Expectation(name, tuple(one["arguments"]), _where(one))

    def _answers(
        self, told: Any, by: str, where: Place
    ) -> tuple[dict[str, list[Scripted] | Real], dict[str, Place]]:
        answers: dict[str, list[Scripted] | Real] = {}
        places: dict[str, Place] = {}
        if told is not None and not is_object(told):
            if told:
                said = f"answers: expected lists by agent, got {shorten(told)}"
                self._tell(by, said, where)
            return answers, places
        for agent, script in (told or {}).items():
            places[agent] = where
            if is_object(script) and script.get("__swarm") == "test.real":
                answers[agent] = Real(where)
            elif is_array(script) and script:
                answers[agent] = [
                    self._answer(one, f"{by}: answers.{agent}", where) for one in script
                ]
                first = answers[agent]
                places[agent] = first[0].where if isinstance(first, list) else where
            else:
                hint = f"write answers = {{ {agent} = {{ … }} }}, or test.real"
                said = f"answers.{agent}: expected a list of answers, got {_shown(script)}"
                self._tell(by, said, where, hint)
        return answers, places

    def _answer(self, one: Any, by: str, where: Place) -> Scripted:
        if not _is_made(one):
            return plain_answer(one, where)
        name = one["__swarm"].removeprefix("test.")
        made, mistakes = answer_of(name, one["arguments"], _where(one))
        for sentence, hint in mistakes:
            self._tell(by, sentence, _where(one), hint)
        return made

    def _names(self, spec: Any, known: frozenset[str], by: str, where: Place) -> None:
        for name in spec if is_object(spec) else ():
            if name not in known:
                said = f"expected one of its fields, got {name!r}"
                self._tell(by, said, where, suggest(name, known))

    def _tell(self, by: str, sentence: str, where: Place, hint: str | None = None) -> None:
        self.found.append(Problem("case.malformed", f"{by}: {sentence}", where, hint=hint))


def _is_made(value: Any, name: str | None = None) -> bool:
    """Tell whether a value is what a function of `flow.test` made (a script may forge one)."""
    if not is_object(value) or not is_array(value.get("arguments")):
        return False
    by = value.get("__swarm")
    if not isinstance(by, str) or type(value.get("__line")) is not int:
        return False
    return by == f"test.{name}" if name else by.startswith("test.")


def _where(made: Any) -> Place:
    return Place(str(made["__file"]), made["__line"])


def _shown(value: Any) -> str:
    return f"{value['__swarm']}" if _is_made(value) else shorten(value)
