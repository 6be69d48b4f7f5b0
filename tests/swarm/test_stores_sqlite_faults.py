"""Every operation on the disk fails once, in each way it can: nothing acknowledged is lost.

A life of a store is lived again for each operation that it makes: that one fails with no
space, an I/O error, half a write, or a sync that throws its data away. The one who works
asks again where he is refused for now. In the end everything that was handed over is
there once, and what was acknowledged survives a loss of power at that moment.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.writer import Batch, Writer
from tests.swarm.store_work import WORKLOADS, Ledger, Shop, judge
from tests.swarm.test_stores_sqlite_power import SEED, folder
from tests.swarm.weak_disk import FAULTS, Fault, WeakDisk, cut

__all__ = ("folder",)

BRIEF = ("group commit", "migration", "probes")
# Odd, so that the four ways take turns. 1: every operation of the longer lives too.
STRIDE = int(os.environ.get("CAMPAIGN_STRIDE", "9"))

# The library passes over some errors of the disk by itself, on closing above all; what
# the disk has raised then has nobody to go to.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Trial:
    """One life with one fault; `operations` counts what the disk was asked for."""

    def __init__(self, name: str, place: Path, fault: Fault, at: int) -> None:
        self.disk = WeakDisk("fault")
        self.disk.fault, self.disk.fail_at = fault, at
        self.ledger = Ledger()
        try:
            anyio.run(self._live, name, place)
        finally:
            self.disk.unregister()
        self.operations = self.disk.operations
        source = Source(str(place / "journal.db"), "normal")
        # Everything that was handed over, once; then what a loss of power had left.
        self.wrong = judge(source, self.ledger.mark(), exactly=True)
        if self.wrong is None:
            for file in place.iterdir():
                file.unlink()
            for path, body in self.after.items():
                Path(path).write_bytes(body)
            self.wrong = judge(source, self.ledger.mark())

    async def _live(self, name: str, place: Path) -> None:
        shop = Shop(place, self.ledger, "fault", patient=True)
        await WORKLOADS[name](shop)
        self.after = cut(self.disk.now(), None)
        shop.store.close()


def trials(folder: Path, names: tuple[str, ...], *, each: bool) -> dict[str, list[str]]:
    """Let every operation of these lives fail; return what was wrong after which.

    *each*: in each way, else in the ways by turns.
    """
    wrong: dict[str, list[str]] = {}
    for name in names:
        operations = Trial(name, folder / "none", "eio", -1).operations
        faults: list[tuple[int, Fault]] = [
            (at, fault) for at in range(operations) for fault in FAULTS
        ]
        if not each:
            faults = faults[SEED % STRIDE :: STRIDE]
        found: list[str] = []
        for at, fault in faults:
            trial = Trial(name, folder / f"{at}{fault}", fault, at)
            if trial.wrong is not None:
                found.append(f"operation {at}, {fault}: {trial.wrong}")
        shutil.rmtree(folder)
        folder.mkdir()
        wrong[name] = found
        tried = len(faults)
        sys.stdout.write(f"{name}: {tried - len(found)} / {tried}, seed={SEED}\n")
    return wrong


def test_every_operation_fails_in_every_way_and_nothing_is_lost(folder: Path) -> None:
    wrong = trials(folder, BRIEF, each=True)
    assert {name: faults[:3] for name, faults in wrong.items() if faults} == {}


def test_longer_lives_survive_each_way_by_turns(folder: Path) -> None:
    wrong = trials(folder, tuple(name for name in WORKLOADS if name not in BRIEF), each=False)
    assert {name: faults[:3] for name, faults in wrong.items() if faults} == {}


def test_a_writer_that_passes_over_errors_goes_red(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(writer: Writer, batch: Batch) -> float:
        writer.drop()
        return 0.0

    monkeypatch.setattr(Writer, "_recover", careless)
    wrong = trials(folder, ("probes", "single commits"), each=False)
    assert all(wrong.values()), "planted: errors of COMMIT are ignored"
