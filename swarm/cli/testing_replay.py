"""`swarm test --replay`: a blueprint, held against a recorded run."""

from __future__ import annotations

import json
from pathlib import Path

from swarm.cli.blueprints import look_at
from swarm.cli.exits import Exit, print_lines, print_result
from swarm.cli.problems import problem_json
from swarm.testing.recording import read_recording
from swarm.testing.replay import departure

__all__ = ("replay",)


async def replay(recording: str, blueprint: str | None, as_json: bool) -> Exit:
    """Print where the blueprint first departs from the recording; None: the one it was made of.

    Raises: Refused (recording.malformed); InvalidBlueprint.
    """
    kept = read_recording(Path(recording))
    name = blueprint or kept.path
    found = departure(kept, await look_at(name))
    if as_json:
        told = {
            "blueprint": name,
            "equal": found is None,
            "answers": len(kept.answers),
            "departure": None if found is None else {**problem_json(found), "at": found.at},
        }
        print_result(json.dumps(told, ensure_ascii=False))
    elif found is None:
        print_lines(f"{name}: replays equal, {len(kept.answers)} answers")
    else:
        print_lines(str(found))
    return Exit.OK if found is None else Exit.FAILED
