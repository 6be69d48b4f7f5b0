"""What speaks against a change: a stable code, and a sentence that a person can judge."""

from __future__ import annotations

from flowir.records import dataclass

__all__ = ("Objection",)


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason against a change, found by comparing documents."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
