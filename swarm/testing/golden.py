"""Golden logs: all that happened in a run, one event a line, in a file beside the test.

What differs from machine to machine, or with every edit of the blueprint, is left out: the
run's name, its document and digest, its folder. Times count from the run's first event.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from swarm.testing.cast import Played

__all__ = ("compared", "lines_of", "path_of")

_LEFT_OUT: Final = frozenset({"run", "seq", "document", "digest", "folder", "version", "time_s"})
_FIRST: Final = ("kind", "key", "step", "attempt")
_SHOWN: Final = 30


def lines_of(events: Iterable[Mapping[str, Any]], calls: Iterable[Played] = ()) -> list[str]:
    """Return the events as they stand in a golden log; an input is there instead of its digest."""
    inputs = {(played.key, played.attempt, played.agent): played.input for played in calls}
    lines: list[str] = []
    began: float | None = None
    for event in events:
        began = event["time_s"] if began is None else began
        first = {name: event[name] for name in _FIRST if name in event}
        rest = {n: event[n] for n in sorted(event) if n not in _FIRST and n not in _LEFT_OUT}
        if event["kind"] == "step.started":
            asked = (event["key"], event["attempt"], event["step"])
            rest["input"] = inputs.get(asked, rest["input"])
        row = {**first, "at_s": round(event["time_s"] - began, 6), **rest}
        lines.append(json.dumps(row, ensure_ascii=False))
    return lines


def path_of(test: str, name: str) -> Path:
    """Return where the golden log of this name is kept."""
    return Path(test).parent / "golden" / f"{name}.jsonl"


def compared(path: Path, lines: list[str], *, update: bool) -> str | None:
    """Hold the lines against a file; return the difference, to be read from top to bottom.

    With *update* the file is written instead, where it differs.
    """
    text = "".join(f"{line}\n" for line in lines)
    try:
        kept = path.read_text("utf-8")
    except FileNotFoundError:
        kept = None
    if kept == text:
        return None
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return None
    if kept is None:
        return f"expected the log {path}, found none — swarm test --update writes it"
    told = difflib.unified_diff(kept.splitlines(), lines, str(path), "this run", n=1, lineterm="")
    shown = list(told)
    more = [f"… {len(shown) - _SHOWN} more lines"] if len(shown) > _SHOWN else []
    body = "\n".join(f"    {line}" for line in (*shown[:_SHOWN], *more))
    return f"expected the events of {path}, got others — swarm test --update takes them\n{body}"
