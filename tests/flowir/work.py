"""Work, counted: how many instructions of Python a call executes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ("growth_of", "work_of")


def work_of(act: Callable[[], object]) -> int:
    """Count the bytecode instructions that *act* executes."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(outer)
    return count


def growth_of(prepare: Callable[[int], Callable[[], object]], size: int = 60) -> float:
    """Say how many times the work grows where the size grows four times."""
    small, large = prepare(size), prepare(4 * size)
    small()
    large()  # once, for what is made at first use
    return work_of(large) / work_of(small)
