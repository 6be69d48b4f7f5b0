"""A flow as one self-contained SVG image, top down.

Laid out in two passes: sizes from the leaves up, then places from the root down. Every
block has an axis, the x where the flow enters at its top and leaves at its bottom.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from flowir.nodes import Flow
from flowir.records import dataclass
from flowir.show.outline import Item, Part, outline

__all__ = ("svg",)

# Units: pixels. A letter's width is that of the monospace font at its size, rounded up.
_LETTER = 8
_LINE = 18
_PAD = 12
_GAP = 28
_TIP = 6
_RADIUS = 12

_STYLE = (
    "text{font:13px ui-monospace,monospace;text-anchor:middle;fill:#222}"
    ".note{fill:#666}.shape{fill:#fff;stroke:#456}.assign{fill:#f6f6f6;stroke:#bbb}"
    ".fail{fill:#fde2e2;stroke:#c0392b}.frame{fill:none;stroke:#9ab;stroke-dasharray:5 4}"
    ".edge{fill:none;stroke:#456}.tip{fill:#456}"
)


def svg(flow: Flow, *, implicit: bool = False) -> str:
    """Draw a flow as an SVG image, for browsers and documents.

    Shape: one `<svg>` element; each node but a seq is a `<g>` whose `data-place` is its place.
    """
    body = _stack(outline(flow, implicit=implicit))
    pen = _Pen()
    x, y = _PAD + body.axis, _PAD + _RADIUS
    pen.dot(x, y)
    _draw(body, _PAD, y + _RADIUS + _GAP, pen, enter=y + _RADIUS)
    end = y + _RADIUS + _GAP + body.height
    if body.passes:
        pen.arrow((x, end), (x, end + _GAP))
        pen.dot(x, end + _GAP + _RADIUS)
    width, height = body.width + 2 * _PAD, end + _GAP + 2 * _RADIUS + _PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(pen.drawn)}</svg>\n'
    )


@dataclass(frozen=True, slots=True)
class _Block:
    """A laid-out item, or a stack of items where `item` is None.

    Shape: `inner` are the blocks inside with their offsets; `passes` tells whether the
    flow goes on behind it.
    """

    item: Item | None
    width: int
    height: int
    axis: int
    inner: tuple[tuple[int, int, _Block], ...] = ()
    passes: bool = True


# ---- sizes ---------------------------------------------------------------------------


def _stack(items: tuple[Item, ...]) -> _Block:
    """Lay out items one below the other, their axes in line."""
    blocks = [_block(item) for item in items]
    if not blocks:
        return _Block(None, 2 * _PAD, 0, _PAD)
    axis = max(block.axis for block in blocks)
    width = axis + max(block.width - block.axis for block in blocks)
    inner: list[tuple[int, int, _Block]] = []
    y = 0
    for block in blocks:
        inner.append((axis - block.axis, y, block))
        y += block.height + _GAP
    return _Block(None, width, y - _GAP, axis, tuple(inner), blocks[-1].passes)


def _block(item: Item) -> _Block:
    match item.kind:
        case "seq":
            return _stack(item.part("body"))
        case "branch":
            return _fork(item)
        case "loop":
            return _circle(item)
        case "fanout" | "try":
            return _frame(item)
        case _:
            width, height = _shape_size(item)
            return _Block(item, width, height, width // 2, passes=item.kind != "fail")


def _lines(item: Item) -> tuple[str, ...]:
    names = {"fanout": f"for each {item.title}", "try": "try"}
    notes = " · ".join(item.notes)
    return (names.get(item.kind, item.title), *((notes,) if notes else ()))


def _shape_size(item: Item) -> tuple[int, int]:
    """Size a box by its text; a diamond is half as wide again, for its points."""
    lines = _lines(item)
    text = max(map(len, lines)) * _LETTER
    if item.kind in ("branch", "loop"):
        return text * 3 // 2 + 2 * _GAP, len(lines) * _LINE + _PAD + _GAP
    return text + 2 * _PAD, len(lines) * _LINE + _PAD


def _fork(item: Item) -> _Block:
    """Lay out a diamond above its two sides."""
    width, height = _shape_size(item)
    sides = [_stack(item.part("then")), _stack(item.part("else"))]
    # Each axis lies beyond the diamond's point, so that the lines leave sideways.
    left = max(sides[0].width - sides[0].axis + _GAP // 2, width // 2 + _GAP)
    right = max(sides[1].axis + _GAP // 2, width // 2 + _GAP)
    axis = sides[0].axis + left
    top = height + _GAP
    inner = ((0, top, sides[0]), (axis + right - sides[1].axis, top, sides[1]))
    total = axis + right - sides[1].axis + sides[1].width
    deepest = max(side.height for side in sides)
    passes = any(side.passes for side in sides)
    return _Block(item, total, top + deepest + _GAP, axis, inner, passes)


def _circle(item: Item) -> _Block:
    """Lay out a diamond above the body that leads back to it, lines on both sides."""
    width, height = _shape_size(item)
    body = _stack(item.part("body"))
    axis = max(width // 2, body.axis) + _GAP
    total = axis + max(width // 2, body.width - body.axis) + _GAP
    inner = ((axis - body.axis, height + _GAP, body),)
    return _Block(item, total, height + body.height + 3 * _GAP, axis, inner)


def _frame(item: Item) -> _Block:
    """Lay out a titled frame: the body, and beside it what a try does besides."""
    lines = _lines(item)
    body = _stack(item.part("body"))
    beside = {role: _section(item, role) for role in ("catch", "finally") if item.part(role)}
    parts = (body, *beside.values())
    top = len(lines) * _LINE + _GAP
    inner: list[tuple[int, int, _Block]] = []
    x = _PAD
    for part in parts:
        inner.append((x, top, part))
        x += part.width + _PAD
    width = max(x, max(map(len, lines)) * _LETTER + 2 * _PAD)
    if len(inner) == 1:
        inner = [((width - body.width) // 2, top, body)]
    height = top + max(part.height for part in parts) + _PAD
    passes = body.passes
    if item.kind == "try":
        passes = (passes or _goes_on(beside.get("catch"))) and _goes_on(beside.get("finally"))
    return _Block(item, width, height, inner[0][0] + body.axis, tuple(inner), passes)


def _goes_on(section: _Block | None) -> bool:
    return section is None or section.passes


def _section(item: Item, role: str) -> _Block:
    """Lay out the catch or the finally of a try as a frame of its own."""
    body = Part("body", item.part(role))
    return _frame(Item("", "section", role, (), (body,)))


# ---- places --------------------------------------------------------------------------


class _Pen:
    """Gathers the elements of the image."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def dot(self, x: int, y: int) -> None:
        self.drawn.append(f'<circle class="tip" cx="{x}" cy="{y}" r="{_RADIUS}"/>')

    def line(self, *points: tuple[int, int]) -> None:
        way = " ".join(f"{x},{y}" for x, y in points)
        self.drawn.append(f'<polyline class="edge" points="{way}"/>')

    def arrow(self, *points: tuple[int, int]) -> None:
        self.line(*points)
        (before, _), (x, y) = points[-2:]
        if before == x:
            tip = f"{x},{y} {x - _TIP // 2},{y - _TIP} {x + _TIP // 2},{y - _TIP}"
        else:  # sideways, from the left: a loop comes back
            tip = f"{x},{y} {x - _TIP},{y - _TIP // 2} {x - _TIP},{y + _TIP // 2}"
        self.drawn.append(f'<polygon class="tip" points="{tip}"/>')

    def text(self, x: int, y: int, text: str, name: str = "") -> None:
        mark = f' class="{name}"' if name else ""
        self.drawn.append(f'<text{mark} x="{x}" y="{y}">{escape(text)}</text>')

    def rect(self, name: str, box: tuple[int, int, int, int], round_: int) -> None:
        x, y, width, height = box
        self.drawn.append(
            f'<rect class="{name}" x="{x}" y="{y}" width="{width}" height="{height}" '
            f'rx="{round_}"/>'
        )

    def lines(self, x: int, y: int, lines: tuple[str, ...]) -> None:
        for i, line in enumerate(lines):
            self.text(x, y + i * _LINE, line, "note" if i else "")


def _draw(block: _Block, x: int, y: int, pen: _Pen, *, enter: int | None) -> None:
    """Draw a block at (x, y); *enter* is where the line that leads into it begins."""
    if block.item is None:
        _draw_stack(block, x, y, pen, enter=enter)
        return
    if enter is not None:
        pen.arrow((x + block.axis, enter), (x + block.axis, y))
    place = f' data-place="{block.item.place}"' if block.item.place else ""
    pen.drawn.append(f"<g{place}>")
    match block.item.kind:
        case "branch":
            _draw_fork(block, block.item, x, y, pen)
        case "loop":
            _draw_circle(block, block.item, x, y, pen)
        case "fanout" | "try" | "section":
            _draw_frame(block, block.item, x, y, pen)
        case _:
            _draw_box(block, block.item, x, y, pen)
    pen.drawn.append("</g>")


def _draw_stack(block: _Block, x: int, y: int, pen: _Pen, *, enter: int | None) -> None:
    if not block.inner and enter is not None:
        pen.line((x + block.axis, enter), (x + block.axis, y))
    for dx, dy, inner in block.inner:
        _draw(inner, x + dx, y + dy, pen, enter=enter)
        enter = y + dy + inner.height if inner.passes else None


def _draw_box(block: _Block, item: Item, x: int, y: int, pen: _Pen) -> None:
    name = item.kind if item.kind in ("assign", "fail") else "shape"
    round_ = {"sleep": 12, "fail": block.height // 2}.get(item.kind, 2)
    pen.rect(name, (x, y, block.width, block.height), round_)
    pen.lines(x + block.axis, y + _LINE, _lines(item))


def _draw_diamond(item: Item, x: int, y: int, pen: _Pen) -> tuple[int, int]:
    """Draw a diamond with its top at (x, y); return half its width, and its height."""
    width, height = _shape_size(item)
    half, middle = width // 2, y + height // 2
    points = f"{x},{y} {x + half},{middle} {x},{y + height} {x - half},{middle}"
    pen.drawn.append(f'<polygon class="shape" points="{points}"/>')
    lines = _lines(item)
    pen.lines(x, middle + 5 - (len(lines) - 1) * _LINE // 2, lines)
    return half, height


def _draw_fork(block: _Block, item: Item, x: int, y: int, pen: _Pen) -> None:
    axis, bottom = x + block.axis, y + block.height
    half, height = _draw_diamond(item, axis, y, pen)
    for (dx, dy, side), word, sign in zip(block.inner, ("yes", "no"), (-1, 1), strict=True):
        top, middle, way = y + dy, y + height // 2, x + dx + side.axis
        pen.text(axis + sign * (half + _GAP // 2), middle - _TIP, word, "note")
        pen.line((axis + sign * half, middle), (way, middle), (way, y + height))
        _draw(side, x + dx, top, pen, enter=y + height)
        if side.passes:
            pen.line((way, top + side.height), (way, bottom), (axis, bottom))


def _draw_circle(block: _Block, item: Item, x: int, y: int, pen: _Pen) -> None:
    axis, bottom = x + block.axis, y + block.height
    half, height = _draw_diamond(item, axis, y, pen)
    middle = y + height // 2
    [(dx, dy, body)] = block.inner
    _draw(body, x + dx, y + dy, pen, enter=y + height)
    if body.passes:
        turn = y + dy + body.height
        left = x + _TIP
        below = turn + _GAP // 2
        pen.arrow((axis, turn), (axis, below), (left, below), (left, middle), (axis - half, middle))
    right = x + block.width - _TIP
    pen.text(axis + half + _GAP // 2, middle - _TIP, "done", "note")
    pen.line((axis + half, middle), (right, middle), (right, bottom), (axis, bottom))


def _draw_frame(block: _Block, item: Item, x: int, y: int, pen: _Pen) -> None:
    lines = _lines(item)
    pen.rect("frame", (x, y, block.width, block.height), 6)
    pen.lines(x + block.width // 2, y + _LINE, lines)
    enter: int | None = y + len(lines) * _LINE + _PAD
    for dx, dy, inner in block.inner:
        _draw(inner, x + dx, y + dy, pen, enter=enter)
        enter = None  # nothing leads from the body to a catch or a finally
    dx, dy, body = block.inner[0]
    if body.passes:
        axis = x + dx + body.axis
        pen.line((axis, y + dy + body.height), (axis, y + block.height))
