"""A picture of curves: SVG, both axes logarithmic, with the fitted line of each series.

It knows nothing of what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, exp, floor, log, log10

__all__ = ("Fit", "Series", "fit", "svg")

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 48, 48
_COLOURS = ("#0b6e99", "#c2571a", "#4d7c0f")


@dataclass(frozen=True, slots=True)
class Fit:
    """y = factor · x ** exponent."""

    exponent: float
    factor: float

    def at(self, x: float) -> float:
        """Return y."""
        return self.factor * x**self.exponent


@dataclass(frozen=True, slots=True)
class Series:
    """One curve; both of its sides are above zero."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]

    @property
    def fit(self) -> Fit:
        return fit(self.xs, self.ys)


def fit(xs: Sequence[float], ys: Sequence[float]) -> Fit:
    """Fit a power to the upper half of the points, by least squares of their logarithms.

    What a run costs once is most of a small size, and would make every curve look flat.
    """
    most = max(3, ceil(len(xs) / 2))
    points = [(log(x), log(y)) for x, y in sorted(zip(xs, ys, strict=True))[-most:]]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    exponent = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return Fit(exponent, exp(mean_y - exponent * mean_x))


def svg(title: str, x_name: str, y_name: str, series: Sequence[Series]) -> str:
    """Draw *series* into one picture."""
    plane = _Plane.around(series)
    return "\n".join((*_frame(title, x_name, y_name, plane), *_curves(series, plane), "</svg>", ""))


@dataclass(frozen=True, slots=True)
class _Plane:
    """The decades that are drawn, and where a point of them lies."""

    x0: int
    x1: int
    y0: int
    y1: int

    @classmethod
    def around(cls, series: Sequence[Series]) -> _Plane:
        xs = [log10(x) for one in series for x in one.xs]
        ys = [log10(y) for one in series for y in one.ys]
        sides = floor(min(xs)), ceil(max(xs)), floor(min(ys)), ceil(max(ys))
        return cls(sides[0], max(sides[1], sides[0] + 1), sides[2], max(sides[3], sides[2] + 1))

    def x(self, value: float) -> float:
        share = (log10(value) - self.x0) / (self.x1 - self.x0)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (log10(value) - self.y0) / (self.y1 - self.y0)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _frame(title: str, x_name: str, y_name: str, plane: _Plane) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    yield f'<text x="{_LEFT}" y="20" font-size="15">{escape(title)}</text>'
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for power in range(plane.x0, plane.x1 + 1):
        x = plane.x(10.0**power)
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{_decade(power)}</text>'
    for power in range(plane.y0, plane.y1 + 1):
        y = plane.y(10.0**power)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_decade(power)}</text>'
    middle = (_LEFT + right) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(x_name)}</text>'
    yield f'<text x="{_LEFT}" y="38" fill="#555">{escape(y_name)}</text>'


def _decade(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"


def _curves(series: Sequence[Series], plane: _Plane) -> Iterator[str]:
    for number, (one, colour) in enumerate(zip(series, _COLOURS, strict=False)):
        found = one.fit
        low, high = sorted(one.xs)[-max(3, ceil(len(one.xs) / 2))], max(one.xs)
        yield (
            f'<line x1="{plane.x(low)}" y1="{plane.y(found.at(low))}" x2="{plane.x(high)}" '
            f'y2="{plane.y(found.at(high))}" stroke="{colour}" stroke-dasharray="5 4"/>'
        )
        points = " ".join(f"{plane.x(x)},{plane.y(y)}" for x, y in zip(one.xs, one.ys, strict=True))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}"/>'
        for x, y in zip(one.xs, one.ys, strict=True):
            yield f'<circle cx="{plane.x(x)}" cy="{plane.y(y)}" r="3.5" fill="{colour}"/>'
        said = f"{one.name}: exponent {found.exponent:.2f}"
        place = f'x="{_WIDTH - _RIGHT - 4}" y="{_HEIGHT - _BOTTOM - 10 - 16 * number}"'
        yield f'<text {place} fill="{colour}" text-anchor="end">{escape(said)}</text>'
