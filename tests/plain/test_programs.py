"""Random flow functions, both ways, from fixed seeds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.plain.both import Batch, Program, TooLong
from tests.plain.programs import CONTEXTS, program

PROGRAMS = 2_000
BATCH = 50
FIRSTS = range(0, PROGRAMS, BATCH)
# Why programs of a batch were refused, by the batch's first seed.
_refused: dict[int, Counter[str]] = {}


@pytest.mark.parametrize("first", FIRSTS)
def test_random_programs_do_what_lua_does(first: int) -> None:
    batch, refused = batch_of(first), Counter[str]()
    compared = 0
    for i in range(BATCH):
        plain = batch.lowered(i)
        if plain.problems:
            refused[plain.problems[0][1].message] += 1
            continue
        made = Program(batch, i, plain)
        for ctx in CONTEXTS[(first + i) % 3 :][:2]:
            try:
                expected = made.through_lua(ctx)
            except TooLong:
                continue
            assert made.through_machine(ctx) == expected, f"seed {first + i}, {ctx}"
            compared += 1
    _refused[first] = refused
    assert compared >= BATCH


def batch_of(first: int) -> Batch:
    return Batch.of([program(seed) for seed in range(first, first + BATCH)])


def refusals(first: int) -> Counter[str]:
    batch = batch_of(first)
    found = [batch.lowered(i).problems for i in range(BATCH)]
    return Counter(problems[0][1].message for problems in found if problems)


def test_few_random_programs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Lowers what was not lowered above, so that it says the same on its own."""
    counts = [_refused[first] if first in _refused else refusals(first) for first in FIRSTS]
    total = sum(map(Counter.total, counts))
    share = total / PROGRAMS
    with capsys.disabled():
        print(f"\nrandom programs refused: {total} of {PROGRAMS} ({share:.1%})")  # noqa: T201
    assert share < 0.05


def test_the_same_seed_gives_the_same_program() -> None:
    assert program(7) == program(7)
    assert len({program(seed) for seed in range(50)}) > 40
