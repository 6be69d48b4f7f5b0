"""A fitted exponent is that of the curve, and what is worse than linear is named so."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.curves import CURVES, Curve, drawn, table
from bench.plot import Series, fit, svg

SIZES = (10, 30, 100, 300, 1_000)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(exponent: float) -> None:
    found = fit(SIZES, [3 * size**exponent for size in SIZES])
    assert found.exponent == pytest.approx(exponent)
    assert found.at(50) == pytest.approx(3 * 50**exponent)


def test_what_a_run_costs_once_does_not_make_a_curve_flat() -> None:
    ys = [20 + size for size in SIZES]
    assert fit(SIZES, ys).exponent == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize(
    ("exponent", "said"), [(0.02, "flat"), (1.0, "linear"), (2.0, "**worse**")]
)
def test_the_table_names_what_is_worse_than_linear(exponent: float, said: str) -> None:
    ys = [size**exponent for size in SIZES]
    curve = Curve("one", "One", "things", "ms", SIZES, ())
    lines = list(table([(curve, [Series("a", SIZES, ys)])]))
    assert lines[-2].endswith(f"| {exponent:.2f} | {said} |")


def test_a_picture_has_every_point_and_says_the_exponent() -> None:
    pair = [Series("a & b", SIZES, list(map(float, SIZES))), Series("c", SIZES, [0.5] * 5)]
    root = ElementTree.fromstring(svg("T <1>", "x", "y", pair))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}circle")) == 10
    texts = [text.text for text in root.findall(f"{space}text")]
    assert "a & b: exponent 1.00" in texts
    assert "c: exponent 0.00" in texts
    for circle in root.findall(f"{space}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= 640
        assert 0 <= float(circle.attrib["cy"]) <= 400


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_curve_can_be_measured(curve: Curve, tmp_path: Path) -> None:
    series = drawn(curve, (1, 2, 4), tmp_path, times=1)
    assert [len(one.ys) for one in series] == [3] * len(curve.series)
    assert all(y > 0 for one in series for y in one.ys)
    assert (tmp_path / f"{curve.name}.svg").read_text().startswith("<svg")
