from __future__ import annotations

import io
import re
from typing import Any, cast

import pytest
from rich.console import Console

from swarm.cli.board import Board
from swarm.cli.progress import describe, watching
from swarm.core.events import Event


def _event(kind: str, **fields: Any) -> Event:
    step = {"step": "checker", "key": "$.body", "attempt": 1} if kind.startswith("step.") else {}
    return cast(Event, {"kind": kind, "seq": 1, "run": "r", "time_s": 0.0} | step | fields)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (_event("step.started"), "▸ checker"),
        (
            _event("step.started", key="$.children[1].body#0.body@11.body"),
            "▸ checker, turn 1, item 12",
        ),
        (_event("step.started", attempt=2), "▸ checker, attempt 2"),
        (_event("step.progress", text="half\n way"), "  checker: half way"),
        (_event("step.finished", duration_s=0.034), "✓ checker: 0.03 s"),
        (
            _event("step.failed", duration_s=1.0, code="process.exit", message="no such\npage"),
            "✗ checker: 1.00 s, process.exit: no such page",
        ),
        (_event("step.cancelled", duration_s=2.5), "✗ checker: cancelled after 2.50 s"),
        (_event("step.retrying", attempt=2, delay_s=0.1), "  checker, attempt 2: in 0.10 s"),
        (_event("step.part", name="log", value="…"), None),
        (_event("run.started"), None),
        (_event("run.finished", duration_s=0.5), "✓ finished: 0.50 s"),
        (_event("run.failed", duration_s=0.5), "✗ failed: 0.50 s"),
        (_event("run.cancelled", duration_s=0.5), "✗ cancelled: 0.50 s"),
    ],
)
def test_an_event_is_one_line_or_none(event: Event, line: str | None) -> None:
    assert describe(event) == line


def test_a_long_message_is_cut() -> None:
    line = describe(_event("step.failed", duration_s=0.0, code="a.b", message="x" * 1000))
    assert line is not None
    assert len(line) < 200


def test_where_stderr_is_no_terminal_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with watching() as show:
        show(_event("step.started"))
        show(_event("step.finished", duration_s=0.0))
        show(_event("run.started"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "▸ checker\n✓ checker: 0.00 s\n"


def _terminal() -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, force_terminal=True, color_system=None, width=60), screen


def test_the_board_shows_what_runs_and_keeps_what_ended() -> None:
    console, screen = _terminal()
    with Board(console) as board:
        board.show(_event("step.started", key="$.body@0"))
        board.show(_event("step.finished", key="$.body@0", duration_s=0.5))
        board.show(_event("step.started", key="$.body@1"))
        console.print(board)
    assert "✓ checker, item 1: 0.50 s" in screen.getvalue()
    assert "checker, item 2: 0 s" in screen.getvalue()


def test_what_goes_on_below_is_indented_on_the_board() -> None:
    console, screen = _terminal()
    why = {"code": "net.down", "message": "nobody answered at the other end of a long line"}
    with Board(console) as board:
        board.show(_event("step.failed", key="$.body@0", duration_s=0.5, **why))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    lines = [line.strip("\r") for line in shown.splitlines() if line.strip()]
    assert lines[0].startswith("✗ checker, item 1: 0.50 s, net.down: nobody")
    assert lines[1].startswith("    ")
    assert not lines[1].startswith("     ")


def test_the_board_of_a_wide_fanout_stays_small() -> None:
    console, screen = _terminal()
    with Board(console) as board:
        for i in range(1000):
            board.show(_event("step.started", key=f"$.body@{i}"))
        console.print(board)
    assert "and 992 more" in screen.getvalue()
    assert "item 9:" not in screen.getvalue()
