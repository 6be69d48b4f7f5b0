from __future__ import annotations

import pytest

from flowir.syntax import Number


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("12", 12),
        ("1e3", 1000.0),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2.0**63),
        ("0x7fffffffffffffff", 2**63 - 1),
        ("0xffffffffffffffff", -1),
        ("0X8000000000000000", -(2**63)),
        ("0x10000000000000001", 1),
        ("0x1p4", 16.0),
    ],
)
def test_a_number_is_what_lua_reads(literal: str, value: float) -> None:
    """Hexadecimal integers wrap around, large decimal ones become floats."""
    found = Number(1, 0, len(literal), literal).value
    assert (found, type(found)) == (value, type(value))
