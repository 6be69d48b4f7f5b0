"""What does not depend on the process: the bytes of a journal, and the memory it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HASH_SEEDS = int(os.environ.get("HASH_SEEDS", "6"))
# A thousand of them are 2 GB of writing: by itself enough to tell a leak from none.
OUTPUTS = int(os.environ.get("OUTPUTS", "96"))


def started(program: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", f"tests.acceptance.{program}", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_other_hash_seeds_give_the_same_journal_byte_by_byte() -> None:
    found: set[str] = set()
    for pair in range(0, HASH_SEEDS, 2):
        two = [started("same_bytes", PYTHONHASHSEED=f"{seed}") for seed in (pair, pair + 1)]
        found.update(process.communicate(timeout=60)[0] for process in two)
        assert [process.returncode for process in two] == [0, 0]
    (same,) = found
    print(f"{HASH_SEEDS} / {HASH_SEEDS} the same: {same.split()[0]} rows")  # noqa: T201
    assert int(same.split()[0]) > 100


def test_large_outputs_lie_beside_the_rows_and_memory_does_not_grow(tmp_path: Path) -> None:
    said: dict[int, dict[str, int]] = {}
    for steps in (12, OUTPUTS):
        process = started("large_outputs", str(tmp_path / f"{steps}"), f"{steps}")
        out = process.communicate(timeout=600)[0]
        assert process.returncode == 0
        said[steps] = json.loads(out)
    few, many = said[12], said[OUTPUTS]
    print(f"{OUTPUTS} MiB of answers: {many['peak_mib']} MiB of memory, 12: {few['peak_mib']}")  # noqa: T201
    assert many["blobs"] == OUTPUTS + 1, "the answers, and the blueprint's document"
    assert many["kept_mib"] >= OUTPUTS - 1
    assert many["peak_mib"] - few["peak_mib"] < 24
