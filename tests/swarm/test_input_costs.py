"""Every row of what comes from outside is refused in 200 ms, and takes less than 64 MiB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024
SECONDS = 0.2
GROWTH = 64 * MEBIBYTE
HANG_S = 140


def costs(*planted: str) -> list[dict[str, Any]]:
    """Return what each hostile text took, as the process tells that tried them."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "tests.swarm.input_costs", *planted],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=HANG_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def wrong(told: dict[str, Any]) -> list[str]:
    """Say how an answer was not as promised."""
    found = [] if told["refused"] else ["it entered"]
    if told["seconds"] > SECONDS:
        found.append(f"{told['seconds'] * 1000:.0f} ms of the processor")
    if told["growth"] > GROWTH:
        found.append(f"{told['growth'] / MEBIBYTE:.0f} MiB")
    return found


def named(told: dict[str, Any]) -> str:
    return f"G{told['row']} {told['what']}"


def test_each_row_is_refused_in_time_and_takes_little_memory() -> None:
    tried = costs()
    lost = {named(told): why for told in tried if (why := wrong(told))}
    slowest = max(tried, key=lambda told: told["seconds"])
    greediest = max(tried, key=lambda told: told["growth"])
    rows = {told["row"] for told in tried}
    sys.stdout.write(
        f"survived {len(tried) - len(lost)} / {len(tried)}, {len(rows)} rows\n"
        f"slowest {named(slowest)}: {slowest['seconds'] * 1000:.0f} ms of the processor\n"
        f"greediest {named(greediest)}: {greediest['growth'] / MEBIBYTE:.1f} MiB\n"
    )
    assert lost == {}
    assert rows == set(range(1, 71))


def test_a_door_that_is_slow_or_greedy_or_open_turns_it_red() -> None:
    slow, greedy, opened = costs("planted")
    assert [why.split()[1:] for why in wrong(slow)] == [["ms", "of", "the", "processor"]]
    # Taking memory takes time, on some machines more than a refusal may: that is told as well.
    assert wrong(greedy)[-1].split()[1:] == ["MiB"]
    assert wrong(opened) == ["it entered"]
