"""The limits of the language, in one table (flow-ir.md §1, §3, §4)."""

from __future__ import annotations

from flowir.records import dataclass

__all__ = ("DEFAULT_LIMITS", "INT_MAX", "INT_MIN", "Limits")

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document, a value and a run may be.

    Units: bytes for `value_size` (of the value written as JSON, near enough: see
    `flowir.values.measure`) and `document_bytes`; counts for the rest. `values`, `containers`
    and `document_containers` are those of one JSON text, refused before they take memory.
    """

    value_size: int = 16 * 1024 * 1024
    value_depth: int = 128
    values: int = 2_000_000
    containers: int = 1_000_000
    document_bytes: int = 4 * 1024 * 1024
    document_containers: int = 300_000
    node_depth: int = 128
    nodes: int = 100_000
    expr_depth: int = 64
    iterations: int = 10_000_000
    lanes: int = 100_000
    in_flight: int = 1_000
    fuel: int = 10_000_000


DEFAULT_LIMITS = Limits()
