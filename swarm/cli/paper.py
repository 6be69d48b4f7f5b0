"""Lines for people: folded to the width of a terminal, and as they are where a program reads.

    a1      waiting    review  2026-11-26 21:55:06           at 80 columns
    second  succeeded  essay   2026-11-26 21:54:12  3.20 s

    a1      waiting    review                                at 40: what goes on is indented
        2026-11-26 21:55:06
    second  succeeded  essay
        2026-11-26 21:54:12  3.20 s

A record stays one line for `grep` and `awk`; on a terminal nothing is cut off and no word is
broken that fits a line. JSON is never folded: whoever copies it wants all of it.
What a script or a program says is shown, never obeyed: `visible` spells out what would move
the cursor, colour the screen or turn the line around.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

__all__ = ("columns", "fold", "folded_for", "visible", "width_of")

_HANG = 4
_GAP = 2
# Narrower than this nothing is readable anyway, and words would stand letter by letter.
_LEAST = 20
_GUIDES = re.compile(r"(?:│   |    )*(?:├── |└── )?")
# Controls but the tab, and the marks that turn the direction of what follows.
_HIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BELOW: Mapping[str, str] = {"├── ": "│   ", "└── ": "    "}


def width_of(stream: TextIO) -> int | None:
    """Return how many columns a stream's terminal has; None: it is no terminal."""
    if not stream.isatty():
        return None
    try:
        columns = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(stream.fileno())[0]
    except (OSError, ValueError):
        columns = 80
    return max(columns or 80, _LEAST)


def folded_for(stream: TextIO, lines: Iterable[str], hang: int = _HANG) -> list[str]:
    """Return *lines* as *stream* should show them; *hang* indents what goes on."""
    width = width_of(stream)
    whole = [visible(part.removesuffix("\r")) for line in lines for part in line.split("\n")]
    return whole if width is None else [one for line in whole for one in fold(line, width, hang)]


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Write rows of as many cells each in columns; *width*: the room that a line has.

    Where a row has no room, all rows go on below at the same cell: they stay columns.

    >>> columns([("a1", "waiting", "3.20 s"), ("second", "failed", "")])
    ['a1      waiting  3.20 s', 'second  failed']
    """
    from rich.cells import cell_len

    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    below = _breaks(widths, width)
    lines: list[str] = []
    for row in shown:
        line = ""
        for no, (cell, widest) in enumerate(zip(row, widths, strict=True)):
            if no in below:
                lines.append(line)
                line = " " * _HANG
            line += cell + " " * (widest - cell_len(cell) + _GAP)
        lines.append(line)
    return [line.rstrip() for line in lines if line.strip()]


def _breaks(widths: Sequence[int], width: int | None) -> set[int]:
    """Return the columns that have no room beside those before them."""
    found: set[int] = set()
    taken = 0
    for no, widest in enumerate(widths):
        if width is not None and no and taken + widest > width:
            found.add(no)
            taken = _HANG
        taken += widest + _GAP
    return found


def visible(text: str) -> str:
    r"""Return *text* as one line without a control: each is written as an escape.

    >>> print(visible("a\x1b[2J\n"))
    a\x1b[2J\n
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def fold(line: str, width: int, hang: int = _HANG) -> list[str]:
    """Fold one line between words; a branch of a tree goes on below itself.

    >>> fold("├── writer  failed  no answer came", 24)
    ['├── writer  failed  no', '│       answer came']
    """
    from rich.cells import cell_len, chop_cells

    if cell_len(line) <= width:
        return [line]
    indent = _below(line) + " " * hang
    if len(indent) > width // 2:
        indent = " " * _HANG
    found, here = list[str](), ""
    for word in re.findall(r"\s+|\S+", line):
        if cell_len(here + word) <= width:
            here += word
            continue
        if here.strip() and here != indent:
            found.append(here.rstrip())
            here = indent
        elif cell_len(here) > len(indent):
            here = indent  # blanks at the head of a line, which leave a long word no room
        if word.isspace():
            continue
        *pieces, last = chop_cells(word, width - len(indent))
        for piece in pieces:
            found.append(here + piece)
            here = indent
        here += last
    return [*found, here.rstrip()] if here.strip() else found


def _below(line: str) -> str:
    """Return what stands below the head of a line: its indent, and the guides of its tree."""
    found = _GUIDES.match(line)
    head = "" if found is None else found[0]
    return head[:-4] + _BELOW.get(head[-4:], head[-4:])
