"""What can go wrong in the host, and how it is said.

    SwarmError           code, message
    ├── BlueprintInvalid the document has problems; .problems lists them all   (author)
    ├── ScriptFailed     a Lua script failed; .file, .line, .frames            (author)
    ├── RunFailed        the run ended without a result; .error, .status       (author, worker)
    ├── Refused          the caller asked for what cannot be; .values          (operator)
    ├── Denied           the caller may not do this; .values                   (operator)
    └── Bug              cannot happen; please report                          (us)

An error's text is *place: expected, got — hint*, built from values that are its
attributes too. `docs/errors.md` lists every code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = (
    "BlueprintInvalid",
    "Bug",
    "Denied",
    "Place",
    "Problem",
    "Refused",
    "RunFailed",
    "ScriptFailed",
    "SwarmError",
)


class SwarmError(Exception):
    """The root of the host's errors: a stable dotted `code` and a sentence."""

    def __init__(self, code: str, message: str, **values: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.values = values


@dataclass(frozen=True, slots=True)
class Place:
    """A line of an author's file; `line` counts from one, and is None for a whole file."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a blueprint is refused.

    `where` is the author's line, `at` the place in the canonical document. `silence` is
    what a comment on that line says to allow it, where it may be allowed.
    """

    code: str
    message: str
    where: Place
    at: str = ""
    hint: str | None = None
    silence: str | None = None

    def __str__(self) -> str:
        hint = f" — {self.hint}" if self.hint else ""
        return f"{self.where}: {self.code}: {self.message}{hint}"


class BlueprintInvalid(SwarmError):
    """A blueprint that cannot be compiled; `problems` holds every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__("blueprint.invalid", f"{problems[0]}{more}")
        self.problems = tuple(problems)


class ScriptFailed(SwarmError):
    """A Lua script failed: syntax, an error it raised, a limit, or a wrong result.

    `frames` are (place, function name) from the innermost out; `value` is the error
    object of a script that raised a table, and of one that had no instructions left
    `{"instructions": n}`, what it had paid: the same in every run.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: Place | None = None,
        frames: Sequence[tuple[Place, str]] = (),
        value: Any = None,
    ) -> None:
        super().__init__(code, f"{where}: {message}" if where else message)
        self.bare = message
        self.where = where
        self.frames = tuple(frames)
        self.value = value


class RunFailed(SwarmError):
    """A run that ended without a result.

    `error` is the object the context would see at `error_at`; `status` is the run's.
    """

    def __init__(self, run_id: str, status: str, error: Mapping[str, Any]) -> None:
        super().__init__(
            "run.failed", f"run {run_id} {status} at {error.get('at') or '$'}: {error['message']}"
        )
        self.run_id = run_id
        self.status = status
        self.error = dict(error)


class Refused(SwarmError):
    """The caller asked for what cannot be: unknown run, wrong state, bad argument."""


class Denied(SwarmError):
    """The caller has shown no token that holds, or none that covers this act."""


class Bug(SwarmError):
    """A state that cannot be: please report it with the message."""

    def __init__(self, message: str) -> None:
        super().__init__("bug", f"cannot happen, please report: {message}")
