"""The pytest plugin: test scripts are collected, and blueprints are tested from Python.

    *_test.lua                                   each case is a test
    @pytest.mark.blueprint("draft.lua")          the blueprint of the fixture `rehearse`

pytest loads this wherever swarm is installed: it imports what it needs when it is needed.
Scripts run in this process, in their sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from swarm.testing.rehearsal import Rehearsed
    from swarm.testing.runner import Rehearsals
    from swarm.testing.suite import Case

__all__ = (
    "LuaCase",
    "LuaTests",
    "Rehearse",
    "pytest_collect_file",
    "pytest_configure",
    "rehearse",
)


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    said = "blueprint(path): the blueprint of the fixture rehearse, from the test's folder"
    config.addinivalue_line("markers", said)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> LuaTests | None:
    """Collect test scripts."""
    if not file_path.name.endswith("_test.lua"):
        return None
    return LuaTests.from_parent(parent, path=file_path)


class LuaTests(pytest.File):
    """A test script."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield its cases.

        Raises: CollectError, with every mistake in it.
        """
        import anyio

        from swarm.errors import BlueprintInvalid
        from swarm.testing.suite import SuiteInvalid

        try:
            opened = anyio.run(_opened, self.path)
        except (SuiteInvalid, BlueprintInvalid) as e:
            raise self.CollectError("\n".join(map(str, e.problems))) from None
        for case in opened.suite.cases:
            yield LuaCase.from_parent(self, name=case.name, opened=opened, case=case)
        if opened.suite.shared:
            yield _SharedAnswers.from_parent(self, name="answers of the suite", opened=opened)


class LuaCase(pytest.Item):
    """One case of a test script."""

    def __init__(self, *, opened: Rehearsals, case: Case, **more: Any) -> None:
        super().__init__(**more)
        self._opened = opened
        self._case = case

    def runtest(self) -> None:
        """Run it.

        Raises: _NotPassed.
        """
        import anyio

        result = anyio.run(self._opened.run, self._case)
        if result.verdict != "passed":
            raise _NotPassed("\n".join(map(str, result.problems)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what did not hold, without a traceback through the host."""
        if isinstance(excinfo.value, _NotPassed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Tell where it stands."""
        line = self._case.where.line
        return self.path, None if line is None else line - 1, self.name


class _SharedAnswers(pytest.Item):
    """Whether answers of the suite were of use to any of its cases, if all of them ran."""

    def __init__(self, *, opened: Rehearsals, **more: Any) -> None:
        super().__init__(**more)
        self._opened = opened

    def runtest(self) -> None:
        if not self._opened.all_ran:
            pytest.skip("not all cases were run")
        unused = self._opened.never_given()
        if unused:
            raise _NotPassed("\n".join(map(str, unused)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return str(excinfo.value)


class _NotPassed(Exception):
    """A case that did not pass."""


async def _opened(path: Path) -> Rehearsals:
    from swarm.cli.project import find_project
    from swarm.lua.runner import InlineScripts
    from swarm.testing.runner import Rehearsals

    includes = find_project(path).includes
    return await Rehearsals.open(str(path), InlineScripts(), includes=includes)


class Rehearse:
    """Runs one blueprint with scripted agents: what the fixture `rehearse` is.

    docs/testing-flows.md has an example.
    """

    def __init__(self, blueprint: Path) -> None:
        self._blueprint = blueprint
        self._opened: Any = None

    def __call__(
        self, input: Any = None, *, budget: Mapping[str, Any] | None = None, **answers: Any
    ) -> Rehearsed:
        """Run it to its end.

        Shape: *answers* by agent: a list of values, of `swarm.testing.Scripted` and of
        failures (`flowir.WorkerFailure`), or `swarm.testing.Real()`.
        Raises: AssertionError, for a call that nobody foresaw, or an answer never used.
        """
        import anyio

        return anyio.run(self._run, input, budget, answers)

    async def _run(
        self, input: Any, budget: Mapping[str, Any] | None, answers: Mapping[str, Any]
    ) -> Rehearsed:
        from swarm.cli.project import find_project
        from swarm.lua.runner import InlineScripts
        from swarm.testing.rehearsal import Rehearsal
        from swarm.testing.stage import agents_within

        if self._opened is None:
            includes = find_project(self._blueprint).includes
            self._opened = await Rehearsal.open(
                str(self._blueprint), includes=includes, scripts=InlineScripts()
            )
        known = agents_within(self._opened.blueprint.document)
        unknown = sorted(answers.keys() - known.keys())
        assert not unknown, f"expected agents of {self._blueprint.name}, got {unknown[0]!r}"  # noqa: S101
        scripted = {name: _script(given) for name, given in answers.items()}
        result = await self._opened.run(input, scripted, budget=budget)
        mistakes = [one.message for one in result.mistakes]
        mistakes += [f"{name}: expected a call for {one.value!r}" for name, one in result.unused]
        assert not mistakes, "\n".join(mistakes)  # noqa: S101
        return result


def _script(given: Any) -> Any:
    from flowir import WorkerFailure
    from swarm.testing.cast import Real, Scripted

    if isinstance(given, Real):
        return given
    return [
        one
        if isinstance(one, Scripted)
        else Scripted("fails", None, one.code, one.message, one.permanent, one.data)
        if isinstance(one, WorkerFailure)
        else Scripted(value=one)
        for one in given
    ]


@pytest.fixture
def rehearse(request: pytest.FixtureRequest) -> Rehearse:
    """Run the blueprint that `@pytest.mark.blueprint("path")` names."""
    marker = request.node.get_closest_marker("blueprint")
    if marker is None or len(marker.args) != 1:
        pytest.fail('rehearse: expected @pytest.mark.blueprint("path"), got none', pytrace=False)
    return Rehearse(request.path.parent / marker.args[0])
