"""Names for tables: a flow that is not refused shows what Lua shows, whoever shares what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy

import pytest

from swarm.lua.lowering import lowering
from tests.plain.both import HEAD, Batch, Program, TooLong
from tests.plain.sharing import CONTEXT, HELPERS, sharing

BATCH = 100
PROGRAMS = int(os.environ.get("SHARING_PROGRAMS", "300"))
FIRSTS = range(0, PROGRAMS, BATCH)


def batch_of(first: int) -> Batch:
    made = [f'flow.blueprint {{ id = "p", flow = {sharing(first + i)} }}' for i in range(BATCH)]
    return Batch(HEAD + HELPERS + "return {\n" + ",\n".join(made) + "\n}\n")


def compared(batch: Batch) -> Iterator[tuple[int, bool]]:
    """Yield the programs that are lowered, and whether both ways agree."""
    for i in range(BATCH):
        plain = batch.lowered(i)
        if plain.problems:
            continue
        program = Program(batch, i, plain)
        try:
            expected = program.through_lua(deepcopy(CONTEXT))
        except TooLong:
            continue
        yield i, program.through_machine(deepcopy(CONTEXT)) == expected


@pytest.mark.parametrize("first", FIRSTS)
def test_no_table_is_shared_unseen(first: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(compared(batch_of(first)))
    with capsys.disabled():
        print(f"\nprograms that share tables: {len(found)} lowered / {BATCH}")  # noqa: T201
    assert [first + i for i, same in found if not same] == []
    assert len(found) >= BATCH // 8


def test_without_the_search_tables_are_shared_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_given: object) -> list[object]:
        return []

    monkeypatch.setattr(lowering, "shared_writes", nothing)
    found = [same for _, same in compared(batch_of(0))]
    assert found.count(False) > BATCH // 8
