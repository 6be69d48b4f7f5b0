"""What the agents of one run answered, kept in a file, without its secrets.

A recording can be held against a blueprint that was changed (`swarm.testing.replay`). What
looks like a secret, and what the project says is one, is replaced before anything is
written: in the first context, in answers, failures and the end. Inputs are not copied from
the run but computed anew, by the flow, from what is left: so a recording agrees with itself,
and no digest of a secret is in it. A run whose way depends on a secret cannot be kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from flowir.door import parse_json
from flowir.effects import Cancel, Dispatch, Effect, Failure, Success
from flowir.errors import FlowError, ProtocolError
from flowir.machine import Machine
from flowir.nodes import Flow
from flowir.records import dataclass
from swarm.errors import Refused

__all__ = ("Answered", "Recording", "RunEnd", "read_recording", "recorded", "write_recording")

VERSION = 1
Hide = Callable[[Any], Any]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FailureKept(_Kept):
    """A failure, as the machine was told of it."""

    code: str
    message: str
    permanent: bool = False
    data: Any = None


class Answered(_Kept):
    """One answer, or the run's cancellation (`cancel` says why), in the order of the run."""

    key: str = ""
    attempt: int = 1
    agent: str = ""
    input: Any = None
    value: Any = None
    failure: FailureKept | None = None
    tokens: int = 0
    cost: float = 0.0
    duration_s: float = 0.0
    cancel: str | None = None

    @property
    def outcome(self) -> Success | Failure:
        """What the machine is told."""
        failed = self.failure
        if failed is None:
            return Success(self.value)
        return Failure(failed.code, failed.message, failed.permanent, failed.data)


class RunEnd(_Kept):
    """How the run ended: `ctx` where it succeeded, else `error`."""

    status: Literal["succeeded", "failed", "cancelled"]
    ctx: Any = None
    error: dict[str, Any] | None = None


class Recording(_Kept):
    """One run; `path` is how its blueprint was named, `digest` that of its document."""

    swarm_recording: Literal[1] = 1
    blueprint: str
    digest: str
    path: str
    input: Any
    answers: list[Answered]
    end: RunEnd


@dataclass(slots=True)
class _Course:
    """A machine that is told the answers again, without secrets."""

    machine: Machine
    pending: dict[str, Dispatch]

    def take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                self.pending.pop(effect.key, None)
            else:
                self.pending[effect.key] = effect


def recorded(flow: Flow, path: str, events: Iterable[Mapping[str, Any]], hide: Hide) -> Recording:
    """Make a recording of all events of a run, which has ended.

    Shape: *hide* returns a value without its secrets.
    Raises: Refused (recording.secret).
    """
    rows = list(events)
    started = rows[0]
    first = hide(started["input"])
    try:
        course = _Course(Machine(flow, first), {})
        course.take(course.machine.start())
        answers = [kept for row in rows for kept in _kept(row, course, hide)]
    except (FlowError, ProtocolError) as error:
        raise _depends(str(error)) from error
    return Recording(
        blueprint=started["blueprint"],
        digest=started["digest"],
        path=path,
        input=first,
        answers=answers,
        end=_end(course.machine, rows[-1], hide),
    )


def write_recording(recording: Recording, file: Path) -> None:
    """Write a recording, whole or not at all, for its owner's eyes.

    Raises: OSError.
    """
    text = json.dumps(recording.model_dump(exclude_defaults=False), ensure_ascii=False, indent=1)
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text + "\n")
    part.replace(file)


def read_recording(file: Path) -> Recording:
    """Read a recording.

    Raises: Refused (recording.malformed).
    """
    try:
        return Recording.model_validate(parse_json(file.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc'])) or '$'}: {first['msg'].lower()}"
    except OSError as error:
        said = f"expected a recording of a run, got: {(error.strerror or str(error)).lower()}"
    except (UnicodeDecodeError, FlowError) as error:
        said = f"expected a recording of a run, got {error}"
    raise Refused("recording.malformed", f"{file}: {said}")


def _kept(row: Mapping[str, Any], course: _Course, hide: Hide) -> Iterable[Answered]:
    """Tell the machine of a row, and return what is kept of it."""
    kind = row["kind"]
    if kind == "run.cancelling":
        reason = hide(row["reason"])
        course.take(course.machine.cancel(reason))
        return [Answered(cancel=reason)]
    if kind not in ("step.finished", "step.failed"):
        return []
    asked = course.pending.pop(row["key"], None)
    if asked is None or (asked.attempt, asked.ref) != (row["attempt"], row["step"]):
        raise _depends(f"step {row['step']!r} at {row['key']} would not be asked for")
    failure = None
    if kind == "step.failed":
        said = {"code": row["code"], "message": hide(row["message"]), "data": hide(row["data"])}
        failure = FailureKept(permanent=row["permanent"], **said)
    kept = Answered(
        key=asked.key,
        attempt=asked.attempt,
        agent=asked.ref,
        input=asked.input,
        value=hide(row.get("value")),
        failure=failure,
        tokens=row["tokens"],
        cost=row["cost"],
        duration_s=row["duration_s"],
    )
    course.take(course.machine.resolve(asked.key, kept.outcome, asked.attempt))
    return [kept]


def _end(machine: Machine, row: Mapping[str, Any], hide: Hide) -> RunEnd:
    kind = row["kind"]
    if not machine.done or (machine.error is None) != (kind == "run.finished"):
        raise _depends("it would end otherwise")
    if machine.error is None:
        return RunEnd(status="succeeded", ctx=machine.result)
    error = machine.error.to_json()
    if error["code"] != row["error"]["code"]:
        raise _depends(f"it would fail with {error['code']!r}")
    return RunEnd(status="failed" if kind == "run.failed" else "cancelled", error=error)


def _depends(how: str) -> Refused:
    return Refused(
        "recording.secret",
        f"expected a run whose way depends on no secret, got one that does: without them {how}",
    )
