"""What a mutant is, and that the same seed draws the same ones."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.mutation.check import TESTS, chosen_tests, modules
from tests.mutation.mutants import drawn, mutants_of

ROOT = Path(__file__).parents[2]
SOURCE = '''\
"""A module."""
__all__ = ("f",)
LIMIT = 8
def f(a: int, b: list[int]) -> int:
    """Doc."""
    if a < LIMIT and not b:
        raise ValueError("a")
    self.a = a
    return a + 1
'''


def test_each_line_that_does_something_has_its_mutants() -> None:
    found = {(mutant.line, mutant.new.strip()) for mutant in mutants_of("m.py", SOURCE)}
    assert found == {
        (3, "LIMIT = 9"),
        (6, "if a <= LIMIT and not b:"),
        (6, "if a < LIMIT or not b:"),
        (6, "if a < LIMIT and b:"),
        (6, "if not (a < LIMIT and not b):"),
        (7, "pass"),
        (8, "pass"),
        (9, "return None"),
        (9, "return a - 1"),
        (9, "return a + 2"),
    }


def test_a_seed_draws_the_same_lines_again_each_once() -> None:
    sources = {"a.py": SOURCE, "b.py": SOURCE}
    first = drawn(sources, 8, seed=1)
    assert first == drawn(sources, 8, seed=1) != drawn(sources, 8, seed=2)
    assert len({(mutant.file, mutant.line) for mutant in first}) == 8
    for mutant in first:
        ast.parse(mutant.applied(sources[mutant.file]))


def test_every_module_that_is_changed_has_tests_that_are_there() -> None:
    assert len(modules()) >= len(TESTS)
    for file in modules():
        assert all((ROOT / test).is_file() for test in chosen_tests(file)), file
