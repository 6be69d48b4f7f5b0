"""What can go wrong in the language, and how it is said.

    FlowError            code, message, at; raised by running a flow
    ├── Malformed        the document is not a flow; .problems lists every reason
    ├── WorkerFailure    raised by a dispatch function to say more than "it failed"
    └── ProtocolError    the caller of the machine broke its rules

The text of an error is *place: sentence*; the sentence is built from values that
are attributes of the error too. Knows nothing of flows, values or machines.
"""

from __future__ import annotations

import re
from typing import Any

from flowir.records import dataclass

__all__ = (
    "CODE_PATTERN",
    "FlowError",
    "Malformed",
    "Problem",
    "ProtocolError",
    "WorkerFailure",
    "a_python",
    "is_code_pattern",
    "shorten",
)

_SHOWN = 60


def shorten(value: object, limit: int = _SHOWN) -> str:
    """Show a value as `repr` does, cut to *limit* characters.

    Only the head of a large value is rendered: the cost does not grow with its size.
    """
    if isinstance(value, str):
        text = repr(value[: limit + 1])
    elif isinstance(value, dict):
        text = _opened("{", value, "}", limit)
    elif isinstance(value, list):
        text = _opened("[", value, "]", limit)
    else:
        text = _scalar(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _scalar(value: object) -> str:
    names = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return names[value]
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (int, float)):
        return repr(value)
    return a_python(value)


def a_python(value: object) -> str:
    """Name the Python type of *value*, with its article.

    >>> a_python(()), a_python(object())
    ('a tuple', 'an object')
    """
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _opened(left: str, value: Any, right: str, limit: int) -> str:
    inner: list[str] = []
    used = 0
    for item in value:
        key = shorten(item, 20) + ": " if left == "{" else ""
        member = value[item] if left == "{" else item
        small = "{…}" if isinstance(member, dict) else "[…]" if isinstance(member, list) else None
        inner.append(key + (small or shorten(member, 20)))
        used += len(inner[-1])
        if used > limit:
            break
    return left + ", ".join(inner) + right


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a document is refused, or one thing an author should look at.

    `at` is a place in the document (`$.children[2].join`), `message` a sentence
    without it, `hint` what to write instead.
    """

    code: str
    at: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" — {self.hint}" if self.hint else ""
        return f"{self.at}: {self.message}{hint}"


class FlowError(Exception):
    """The root of all errors of the language.

    `code` is a stable dotted word, `at` the place of the node that failed,
    `cause_code` the worker's own code behind `step.failed`, `data` what the author
    or the worker attached (JSON). Other values of the sentence are in `values`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        at: str = "",
        cause_code: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        permanent: bool = False,
        data: Any = None,
        **values: Any,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.at = at
        self.cause_code = cause_code
        self.step = step
        self.attempt = attempt
        self.permanent = permanent
        self.data = data
        self.values = values

    def __str__(self) -> str:
        return f"{self.at}: {self.message}" if self.at else self.message

    def matches(self, pattern: str) -> bool:
        """Tell whether an entry of `on` admits this error: a code, or `prefix.*`."""
        return _matches(self.code, pattern) or (
            self.cause_code is not None and _matches(self.cause_code, pattern)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the error as the context sees it at `error_at` (flow-ir.md §4, try)."""
        return {
            "code": self.code,
            "cause_code": self.cause_code,
            "message": self.message,
            "at": self.at,
            "step": self.step,
            "attempt": self.attempt,
            "data": self.data,
        }


# An entry of `on`: elsewhere than behind its last dot, a star would match nothing.
CODE_PATTERN = r"[^*]+(\.\*)?"
_CODE_PATTERN = re.compile(CODE_PATTERN)


def is_code_pattern(entry: str) -> bool:
    """Tell whether an entry of `on` is a code, or `prefix.*`.

    >>> is_code_pattern("net.*"), is_code_pattern("net*"), is_code_pattern("*")
    (True, False, False)
    """
    return _CODE_PATTERN.fullmatch(entry) is not None


def _matches(code: str, pattern: str) -> bool:
    if pattern.endswith(".*"):
        return code.startswith(pattern[:-1])
    return code == pattern


class Malformed(FlowError):
    """A document, value or expression that is not well formed.

    `problems` holds every reason found; the message is the first one's.
    """

    def __init__(self, problems: tuple[Problem, ...] | list[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        hint = f" — {first.hint}" if first.hint else ""
        super().__init__("malformed", f"{first.message}{hint}{more}", at=first.at)
        self.problems = tuple(problems)


class WorkerFailure(FlowError):
    """Raised by a dispatch function: the step failed, with a code of the worker's own."""

    def __init__(self, code: str, message: str, permanent: bool = False, data: Any = None) -> None:
        super().__init__(code, message, permanent=permanent, data=data)


class ProtocolError(FlowError):
    """The machine was asked for something it never offered."""

    def __init__(self, message: str) -> None:
        super().__init__("protocol", message)
