"""A machine whose context somebody changed just before some of its steps.

    the way to the step   as recorded
    the step asks         the edits are written into the context of its lane,
                          then its input is computed, from the changed context
    from there on         as any machine

The edits are part of the run's first event, so a replay does the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from flowir.effects import Dispatch
from flowir.errors import FlowError
from flowir.exprs import Bounds
from flowir.lane import Lane
from flowir.machine import Machine
from flowir.nodes import Flow
from flowir.path import Path, parse_path
from flowir.store import check_size
from flowir.storing import storing
from flowir.values import private_copy

__all__ = ("EditedMachine", "Edits", "target_of")

# By the key of the step: what to write, by path.
Edits: TypeAlias = Mapping[str, Mapping[str, Any]]

# `#2` and `@0` in a key are the turns on the way; without them it is a place.
_TURNS = re.compile(r"[#@]\d+")


def target_of(where: str) -> Path:
    """Read where somebody outside of a flow writes: its root may be left out.

    >>> target_of("a.b") == target_of("ctx.a.b") == target_of("$.a.b")
    True

    Raises: Malformed.
    """
    return parse_path(where if where.startswith(("$", "ctx.", "ctx[")) else f"$.{where}")


class EditedMachine(Machine):
    """Writes *edits* before the first attempts of the steps that they name.

    `refused` is the error of a write that could not be made, and the step's from then on.
    Raises: flowir.Malformed, for a path that is none.
    """

    def __init__(self, flow: Flow, ctx: Any, edits: Edits) -> None:
        super().__init__(flow, ctx)
        self.refused: FlowError | None = None
        self._edits = {
            key: [(parse_path(path), value) for path, value in writes.items()]
            for key, writes in edits.items()
        }

    def ask(self, lane: Lane, dispatch: Dispatch) -> None:
        """Note that *lane* waits for a step, with what it asks after the edits."""
        edits = self._edits.pop(dispatch.key, None)
        if edits is None:
            super().ask(lane, dispatch)
            return
        try:
            self._write(lane, edits)
        except FlowError as error:
            self.refused = error
            raise
        self.program.named[f"{_TURNS.sub('', dispatch.key)}:step"](lane)

    def _write(self, lane: Lane, edits: list[tuple[Path, Any]]) -> None:
        for path, value in edits:
            bounds = Bounds(*check_size(value, self.limits))
            storing(path, self.limits)(lane, private_copy(value), bounds)
