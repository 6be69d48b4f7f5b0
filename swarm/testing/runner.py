"""Runs the cases of test scripts, one after the other, and says what came of each.

A script that has mistakes is not run: all of them are told instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from flowir.records import dataclass
from swarm.blueprint.words import suggest
from swarm.errors import BlueprintInvalid, Place, Problem, Refused
from swarm.ports.scripts import ScriptRunner
from swarm.testing.cast import Answers, Real, Scripted
from swarm.testing.coverage import Coverage
from swarm.testing.expectations import Judged, Known, mistakes_in, unmet
from swarm.testing.rehearsal import Rehearsal, Rehearsed
from swarm.testing.stage import BUILT_IN_KINDS, REAL_KINDS, agents_within
from swarm.testing.suite import Case, Suite, SuiteInvalid, read_suite

__all__ = (
    "SUFFIX",
    "CaseResult",
    "Rehearsals",
    "SuiteResult",
    "Verdict",
    "find_tests",
    "run_suite",
)

Verdict: TypeAlias = Literal["passed", "failed", "error"]
SUFFIX = "_test.lua"
_SKIPPED = re.compile(r"\..*|__pycache__|node_modules|build|dist|venv")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case; `problems` are why it did not pass. `run` is None where none was."""

    case: Case
    verdict: Verdict
    problems: tuple[Problem, ...] = ()
    run: Rehearsed | None = None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What came of a test script.

    Shape: `mistakes` are why nothing of it was run. `left_out` counts the cases that a
    filter left out; coverage then says less than it might.
    """

    file: str
    blueprint: str = ""
    cases: tuple[CaseResult, ...] = ()
    coverage: Coverage | None = None
    mistakes: tuple[Problem, ...] = ()
    left_out: int = 0

    def count(self, verdict: Verdict) -> int:
        """Return how many cases came to this."""
        return sum(one.verdict == verdict for one in self.cases)


def find_tests(path: Path) -> list[Path]:
    """Return the test scripts that a path names: itself, its folder's, or a blueprint's own.

    Shape: sorted; hidden folders, and those of builds and environments, are left out.
    """
    if path.is_dir():
        found = [
            one
            for one in path.rglob(f"*{SUFFIX}")
            if not any(map(_SKIPPED.fullmatch, one.relative_to(path).parts[:-1]))
        ]
        return sorted(found)
    if path.name.endswith(SUFFIX):
        return [path]
    beside = path.with_name(f"{path.stem}{SUFFIX}")
    return [beside] if beside.is_file() else []


class Rehearsals:
    """A test script that was read and has no mistakes, to be run case by case."""

    def __init__(self, suite: Suite, rehearsal: Rehearsal, *, update: bool = False) -> None:
        self.suite = suite
        self.coverage = Coverage(rehearsal.blueprint)
        self.blueprint = rehearsal.blueprint
        self._rehearsal = rehearsal
        self._update = update
        self._given: set[int] = set()
        self._ran: set[str] = set()
        kinds = agents_within(rehearsal.blueprint.document)
        self._kinds = {n: k for n, k in kinds.items() if k not in BUILT_IN_KINDS}
        self._known = Known.of(rehearsal.blueprint.flow, tuple(self._kinds))

    @classmethod
    async def open(
        cls,
        file: str,
        scripts: ScriptRunner,
        *,
        includes: Mapping[str, Path] | None = None,
        update: bool = False,
    ) -> Rehearsals:
        """Read a test script and compile its blueprint.

        Raises: SuiteInvalid, with every mistake; BlueprintInvalid.
        """
        suite = await read_suite(file, scripts)
        opened = await Rehearsal.open(suite.blueprint, includes=includes, scripts=scripts)
        read = cls(suite, opened, update=update)
        mistakes = read.mistakes()
        if mistakes:
            raise SuiteInvalid(mistakes)
        return read

    def mistakes(self) -> list[Problem]:
        """Find what the cases say of the blueprint that is not so."""
        found = self._agents(self.suite.shared, self.suite.given, "test.suite")
        logs: set[str] = set()
        for case in self.suite.cases:
            own = {n: s for n, s in case.answers.items() if self.suite.shared.get(n) is not s}
            found += self._agents(own, case.given, f"test.case {case.name!r}")
            for one in case.expect:
                for code, said, hint in mistakes_in(one.name, one.arguments, self._known):
                    found.append(Problem(code, said, one.where, hint=hint))
                if one.name == "golden":
                    log = str(one.arguments[:1])
                    if log in logs:
                        said = "test.golden: expected each name once, got it again"
                        found.append(Problem("case.malformed", said, one.where))
                    logs.add(log)
        return sorted(found, key=lambda one: (one.where.file, one.where.line or 0))

    def _agents(
        self, answers: Mapping[str, object], where: Mapping[str, Place], by: str
    ) -> list[Problem]:
        found: list[Problem] = []
        for name, script in answers.items():
            kind = self._kinds.get(name)
            if kind is None:
                said = f"{by}: answers: expected an agent of the blueprint, got {name!r}"
                hint = suggest(name, self._kinds)
                found.append(Problem("case.agent", said, where[name], hint=hint))
            elif isinstance(script, Real) and kind not in REAL_KINDS:
                said = f"{by}: answers.{name}: expected answers, got test.real of kind {kind!r}"
                hint = "only Lua agents and blueprints can do their steps themselves"
                found.append(Problem("case.real", said, where[name], hint=hint))
        return found

    async def run(self, case: Case) -> CaseResult:
        """Run one case."""
        self._ran.add(case.name)
        try:
            run = await self._rehearsal.run(
                case.input, case.answers, budget=case.budget, where=case.where
            )
        except Refused as refused:
            problem = Problem(
                refused.code, f"test.case {case.name!r}: {refused.message}", case.where
            )
            return CaseResult(case, "error", (problem,))
        self.coverage.add(run.trace)
        mistakes = self._mistakes(case, run)
        problems = [] if mistakes else self._unmet(case, run)
        verdict: Verdict = "error" if mistakes else "failed" if problems else "passed"
        return CaseResult(case, verdict, tuple(mistakes or problems), run)

    def _mistakes(self, case: Case, run: Rehearsed) -> list[Problem]:
        """Return the mistakes of a case; answers of the suite may be of use to others only."""
        self._given.update(map(id, run.given))
        shared = {id(one) for _, one in _answers(self.suite.shared)}
        unused = [(n, one) for n, one in run.unused if id(one) not in shared]
        return [*run.mistakes, *(_unused(name, one) for name, one in unused)]

    @property
    def all_ran(self) -> bool:
        """Whether every case has been run."""
        return len(self._ran) == len(self.suite.cases)

    def never_given(self) -> list[Problem]:
        """Return the answers of the suite that no case had a use for; all have run."""
        shared = _answers(self.suite.shared)
        return [_unused(name, one) for name, one in shared if id(one) not in self._given]

    def _unmet(self, case: Case, run: Rehearsed) -> list[Problem]:
        judged = Judged(run, self._known, self.suite.file, self._update)
        found: list[Problem] = []
        expects_error = any(one.name == "error" for one in case.expect)
        if run.status == "waiting":
            said = f"test.case {case.name!r}: expected a run that ends, got one that asks a person"
            found.append(Problem("case.waiting", said, case.where, hint="give that agent answers"))
        elif run.error is not None and not expects_error:
            said = f"test.case {case.name!r}: expected a run that succeeds, got {_told(run)}"
            found.append(Problem("case.failed", said, case.where))
        for one in case.expect:
            said = unmet(one.name, one.arguments, judged)
            if said is not None:
                found.append(Problem("case.unmet", said, one.where))
        return found


def _told(run: Rehearsed) -> str:
    error = run.error or {}
    code = error.get("cause_code") or error["code"]
    where = run.blueprint.place_of(error.get("at") or "$")
    return f"{where}: {code}: {error['message']}"


async def run_suite(
    file: str,
    scripts: ScriptRunner,
    *,
    includes: Mapping[str, Path] | None = None,
    chosen: Callable[[str], bool] = lambda name: True,
    update: bool = False,
) -> SuiteResult:
    """Run a test script; *chosen* says by its name whether a case is run.

    With *update* golden logs are written where they differ.
    """
    try:
        opened = await Rehearsals.open(file, scripts, includes=includes, update=update)
    except (SuiteInvalid, BlueprintInvalid) as e:
        return SuiteResult(file, mistakes=e.problems)
    cases = [case for case in opened.suite.cases if chosen(case.name)]
    results = tuple([await opened.run(case) for case in cases])
    left_out = len(opened.suite.cases) - len(cases)
    return SuiteResult(
        file,
        opened.suite.blueprint,
        results,
        opened.coverage,
        () if left_out else tuple(opened.never_given()),
        left_out,
    )


def _answers(answers: Answers) -> list[tuple[str, Scripted]]:
    return [
        (name, one)
        for name, script in answers.items()
        if not isinstance(script, Real)
        for one in script
    ]


def _unused(name: str, one: Scripted) -> Problem:
    said = f"answers.{name}: expected a call for this answer, got none"
    if one.times is not None and one.times > 1:
        said = f"answers.{name}: expected {one.times} calls for this answer, got fewer"
    return Problem("case.unused", said, one.where)
