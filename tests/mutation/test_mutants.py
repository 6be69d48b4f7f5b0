"""What a mutant is, and that the same seed draws the same ones."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation.check import modules
from tests.mutation.kept import Kept, Verdict
from tests.mutation.mutants import drawn, mutants_of
from tests.mutation.trial import Bench
from tests.mutation.watched import TESTS, chosen_tests

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


def test_a_verdict_is_kept_until_what_it_is_about_changes(tmp_path: Path) -> None:
    first, *_, last = mutants_of("m.py", SOURCE)
    Kept(tmp_path / "k.json").keep(last, SOURCE, Verdict("killed", "by a test"))
    kept = Kept(tmp_path / "k.json")
    assert kept.verdict(last, SOURCE) == ("killed", "by a test")
    assert kept.verdict(first, SOURCE) is None
    moved = SOURCE.replace("LIMIT = 8", "LIMIT = 9\nMORE = 1")
    assert kept.verdict(replace(last, line=last.line + 1), moved) == ("killed", "by a test")
    assert kept.verdict(last, SOURCE.replace("self.a = a", "self.b = a")) is None


def test_two_checks_at_once_keep_what_both_found(tmp_path: Path) -> None:
    first, *_, last = mutants_of("m.py", SOURCE)
    one, other = Kept(tmp_path / "k.json"), Kept(tmp_path / "k.json")
    one.keep(first, SOURCE, Verdict("killed", "by one"))
    other.keep(last, SOURCE, Verdict("SURVIVED", "by the other"))
    for kept in (other, Kept(tmp_path / "k.json")):
        assert kept.verdict(first, SOURCE) == ("killed", "by one")
        assert kept.verdict(last, SOURCE) == ("SURVIVED", "by the other")


def test_what_is_written_elsewhere_leaves_the_draw_as_it_is() -> None:
    one, other = (
        drawn({"a.py": SOURCE, "b.py": text}, 6, seed=3) for text in (SOURCE, "X = 7\n" + SOURCE)
    )
    same = {(m.file, m.old, m.new) for m in one} & {(m.file, m.old, m.new) for m in other}
    assert len(same) >= 5


@pytest.mark.parametrize(
    ("test", "word"),
    [
        ("assert f(3) == 4", "killed"),
        ("import logging; logging.getLogger('x').error('bad'); assert f(3) == 4", "killed"),
        ("assert f(3)", "SURVIVED"),
        ("assert not f(3)", "undecided"),
        ("import nothing.such", "undecided"),
    ],
)
def test_a_mutant_is_killed_by_a_test_that_fails_with_it_and_passes_without(
    tmp_path: Path, test: str, word: str
) -> None:
    source = "def f(a: int) -> int:\n    return a + 1\n"
    (tmp_path / "m.py").write_text(source)
    (tmp_path / "test_m.py").write_text(f"from m import f\ndef test_f():\n    {test}\n")
    mutant = next(m for m in mutants_of("m.py", source) if m.new.strip() == "return a - 1")
    assert Bench(tmp_path).verdict(mutant, source, ["test_m.py"]).word == word
    assert (tmp_path / "m.py").read_text() == source


def test_a_mutant_that_cannot_be_imported_is_noticed(tmp_path: Path) -> None:
    source = "LIMIT = 1\nassert LIMIT == 1\n"
    (tmp_path / "m.py").write_text(source)
    (tmp_path / "test_m.py").write_text("import m\ndef test_m():\n    assert m.LIMIT\n")
    mutant = next(m for m in mutants_of("m.py", source) if m.new == "LIMIT = 2")
    assert Bench(tmp_path).verdict(mutant, source, ["test_m.py"]) == ("killed", "test_m.py")


def test_every_module_that_is_changed_has_tests_that_are_there() -> None:
    assert len(modules()) >= len(TESTS)
    for file in modules():
        assert all((ROOT / test).is_file() for test in chosen_tests(file)), file
