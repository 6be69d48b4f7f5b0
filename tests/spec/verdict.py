"""What came out of a run, and whether a case expected it.

Comparison is strict: 1 is not 1.0 here, though the language calls them equal.
Knows no driver.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flowir
from flowir.path import parse_path, read
from tests.spec.cases import make

__all__ = ("Outcome", "is_expected", "judge", "observe", "same")

JSON = Any


@dataclass(frozen=True)
class Outcome:
    """A value, or the error that was raised instead."""

    value: JSON = None
    error: flowir.FlowError | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"value {_shown(self.value)}"
        return f"{type(self.error).__name__} {self.error.code}: {self.error} {_facts(self.error)}"

    def told(self) -> str:
        """Tell the outcome as text that two runs can be compared by."""
        return str(self)


def observe(run: Callable[[], JSON]) -> Outcome:
    """Run, and keep the value or the language's own error; anything else passes."""
    try:
        return Outcome(value=run())
    except flowir.ProtocolError:
        raise
    except flowir.FlowError as error:
        return Outcome(error=error)


def judge(outcome: Outcome, expect: dict[str, JSON]) -> None:
    """Raise AssertionError where *outcome* is not what the case expects."""
    assert is_expected(outcome, expect), f"expected {_shown(expect)}, got {outcome}"


def is_expected(outcome: Outcome, expect: dict[str, JSON]) -> bool:
    """Tell whether *outcome* is what *expect* describes, or one of it."""
    if "one_of" in expect:
        return any(is_expected(outcome, choice) for choice in expect["one_of"])
    if "malformed" in expect:
        return isinstance(outcome.error, flowir.Malformed)
    if "fails" in expect:
        return outcome.error is not None and _fails_as(outcome.error, expect["fails"])
    if outcome.error is not None:
        return False
    if "value" in expect:
        return same(outcome.value, make(expect["value"]))
    return all(
        same(read(outcome.value, parse_path(path)), value)
        for path, value in expect["value_at"].items()
    )


def same(left: JSON, right: JSON) -> bool:
    """Tell whether two values are written the same as JSON, keys in any order."""
    return _text(left) == _text(right)


def _fails_as(error: flowir.FlowError, fails: dict[str, JSON]) -> bool:
    return all(_FACTS[fact](error, wanted) for fact, wanted in fails.items())


def _chained(error: flowir.FlowError, code: str) -> bool:
    other = error.__cause__ or error.__context__
    return isinstance(other, flowir.FlowError) and other.code == code


_FACTS: dict[str, Callable[[flowir.FlowError, JSON], bool]] = {
    "code": lambda error, code: error.code == code,
    "code_in": lambda error, codes: error.code in codes,
    "cause_code": lambda error, code: error.cause_code == code,
    "message": lambda error, message: error.message == message,
    "message_has": lambda error, part: part in error.message,
    "at": lambda error, at: error.at == at,
    "step": lambda error, step: error.step == step,
    "attempt": lambda error, attempt: error.attempt == attempt,
    "permanent": lambda error, permanent: error.permanent is permanent,
    "data": lambda error, data: same(error.data, data),
    "chained": _chained,
}


def _facts(error: flowir.FlowError) -> str:
    return _shown({**error.to_json(), "permanent": error.permanent})


def _text(value: JSON) -> str:
    return json.dumps(value, sort_keys=True)


def _shown(value: JSON) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return text if len(text) < 400 else text[:400] + "…"
