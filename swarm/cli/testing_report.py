"""What came of tests, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from swarm.cli.problems import problem_json
from swarm.testing.coverage import Coverage
from swarm.testing.runner import SuiteResult, Verdict

__all__ = ("as_json", "as_lines", "covered")

_WORDS = {"failed": "FAILED", "error": "ERROR"}
_COUNTED: tuple[tuple[Verdict, str], ...] = (
    ("passed", "passed"),
    ("failed", "failed"),
    ("error", "with mistakes"),
)


def covered(results: Iterable[SuiteResult]) -> dict[str, Coverage]:
    """Return the coverage of each blueprint, by all tests of it together."""
    found: dict[str, Coverage] = {}
    for one in results:
        if one.coverage is not None:
            known = found.setdefault(one.blueprint, one.coverage)
            if known is not one.coverage:
                known.join(one.coverage)
    return found


def as_lines(results: list[SuiteResult]) -> Iterator[str]:
    """Yield the report: what did not pass, what was never taken, and the count."""
    for one in results:
        counts = ", ".join(_counts(one))
        yield f"{one.file}: {counts}"
        for problem in one.mistakes:
            yield f"  {problem}"
        for result in one.cases:
            if result.verdict != "passed":
                yield f"  {_WORDS[result.verdict]} {result.case.name}"
                for problem in result.problems:
                    yield f"    {problem}"
    left_out = any(one.left_out for one in results)
    for file, coverage in covered(results).items():
        (nodes, all_nodes), (ways, all_ways) = coverage.nodes, coverage.ways
        chosen = " by the cases that were chosen" if left_out else ""
        yield f"{file}: {nodes} of {all_nodes} nodes, {ways} of {all_ways} ways{chosen}"
        for untaken in coverage.untaken():
            yield f"  {untaken}"
        for name in coverage.uncounted:
            yield f"  not counted: what is within {name!r}, a blueprint with tests of its own"


def as_json(results: list[SuiteResult]) -> dict[str, Any]:
    """Return the whole report as one object."""
    return {
        "passed": sum(one.count("passed") for one in results),
        "failed": sum(one.count("failed") for one in results),
        "errors": sum(one.count("error") for one in results),
        "mistakes": sum(len(one.mistakes) for one in results),
        "suites": [_suite(one) for one in results],
        "coverage": [{"blueprint": f, **c.to_json()} for f, c in covered(results).items()],
    }


def _suite(result: SuiteResult) -> dict[str, Any]:
    return {
        "path": result.file,
        "left_out": result.left_out,
        "mistakes": [problem_json(problem) for problem in result.mistakes],
        "cases": [
            {
                "name": one.case.name,
                "line": one.case.where.line,
                "verdict": one.verdict,
                "problems": [problem_json(problem) for problem in one.problems],
                "agents": [] if one.run is None else one.run.path,
                "usage": None if one.run is None else dict(one.run.usage),
                "took_s": None if one.run is None else one.run.took_s,
            }
            for one in result.cases
        ],
    }


def _counts(result: SuiteResult) -> Iterator[str]:
    for verdict, word in _COUNTED:
        count = result.count(verdict)
        if count or (verdict == "passed" and not result.mistakes):
            yield f"{count} {word}"
    if result.left_out:
        yield f"{result.left_out} left out"
    if result.mistakes:
        many = len(result.mistakes)
        yield f"{many} mistake{'s' if many > 1 else ''}" + (
            "" if result.cases else ", nothing was run"
        )
