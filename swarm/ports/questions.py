"""What a worker wants to know of a person, and what becomes of it without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from flowir.records import dataclass

__all__ = ("ON_DEADLINE", "Ask", "OnDeadline")

OnDeadline: TypeAlias = Literal["fail", "default", "escalate"]

ON_DEADLINE: Final = ("fail", "default", "escalate")


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, before it is written down.

    Shape: `input` is what it is about; `schema` a JSON Schema that the answer must fit
    (None: any JSON); `to` a name or a role (None: whoever may answer). At the deadline the
    step fails, or `default` is the answer, or the question is `escalate_to`'s, without a
    deadline from then on. Units: `deadline_s` in seconds of the time of day.
    """

    prompt: str
    input: Any = None
    schema: Mapping[str, Any] | bool | None = None
    to: str | None = None
    deadline_s: float | None = None
    on_deadline: OnDeadline = "fail"
    default: Any = None
    escalate_to: str | None = None
