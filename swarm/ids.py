"""The ids that travel through the host, and which texts may be one."""

from __future__ import annotations

import re
from typing import Final, NewType

from flowir.errors import shorten
from swarm.errors import Refused

__all__ = ("ISSUE", "RunId", "parse_run_id")

RunId = NewType("RunId", str)

# How the ids of runs begin that are issues of the loop of improvement.
ISSUE: Final = "enh-"

# It becomes part of idempotency keys, file names and addresses: no slash, no space.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse_run_id(text: str) -> RunId:
    """Read a run id that a caller chose.

    Raises: Refused (run.id).
    """
    if not isinstance(text, str) or _RUN_ID.fullmatch(text) is None:  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all checked
        raise Refused(
            "run.id",
            f"run id: expected 1 to 64 of letters, digits, '_', '-', '.', got {shorten(text)}",
            run_id=text,
        )
    return RunId(text)
