"""Replay: a machine is told what a journal says, and held against it.

The rows of a run go in, in their order. Recorded answers are given to the machine; what
it asks for in return is compared with what was written down then: key, attempt, agent,
node, input and delay. The first difference is `resume.conflict`, and nothing is guessed
after it.

When all rows are in, the machine stands where the run stood, and what it still asks for
is what there is to do: attempts that had begun are made again under the same number (the
answer of none of them was recorded), the others begin for the first time. Performs
nothing and writes nothing.

    answer        the machine may owe rows: a `step.cancelled` for each Cancel of what had
                  begun, a `step.retrying` for each attempt after the first
    next answer   must find none owed; a crash may have come between, so what is owed at
                  the end of the history is still to be written (`closing_rows`)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowir.effects import Cancel, Dispatch, Effect, Failure, Outcome, Success
from flowir.errors import FlowError, ProtocolError, shorten
from flowir.machine import Machine
from flowir.nodes import Flow
from swarm.blueprint.canonical import digest_of
from swarm.core import rows
from swarm.core.edits import EditedMachine
from swarm.core.events import STEP_ENDS
from swarm.core.meter import Meter
from swarm.core.run import RunStatus, next_status
from swarm.core.timers import remaining_s
from swarm.errors import SwarmError
from swarm.ids import RunId

__all__ = ("Asked", "Replay")

Row = Mapping[str, Any]

_Owed = tuple[str, str, int]


class Asked:
    """A dispatch without an answer, as the journal leaves it.

    `began`: it was started at least once; `open`: and not even interrupted since.
    Units: `due_at` in UTC seconds since 1970, None where nothing is waited for.
    """

    __slots__ = ("began", "dispatch", "due_at", "open")

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.began = False
        self.open = False
        self.due_at: float | None = None

    def delay_s(self, now: float) -> float:
        """Return what is left to wait at the time of day *now* before it starts."""
        if self.began:
            return 0.0
        if self.due_at is None:
            return self.dispatch.delay_s
        return remaining_s(self.due_at, self.dispatch.delay_s, now)


class Replay:
    """The past of one run, from its `run.started` on.

    `seq` and `status` are those of the last row; `deaths` counts the hosts that died on
    the run since a step last ended; `elapsed_s` is the time from the first row to the last;
    `ending` is what the run is being cancelled for, where nobody asked for it; `parent` is
    the run that it is a child of.
    """

    def __init__(self, flow: Flow, started: Row) -> None:
        """Begin with the run's first row.

        Raises: SwarmError (resume.conflict).
        """
        self.run_id: str = started["run"]
        self.input = started["input"]
        self.seq: int = started["seq"]
        self.status: RunStatus = "running"
        self.pausing = False
        self.deaths = 0
        self.ending: FlowError | None = None
        self._began_at = self._last_at = float(started["time_s"])
        self._asked: dict[str, Asked] = {}
        self._owed: dict[_Owed, Dispatch] = {}
        self._questions: list[Row] = []
        self._timers: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
        self.meter = Meter(rows.budget_of(started), flow)
        self.machine = _machine(flow, started)
        self.machine.fuel = self.meter.fuel(self.machine.fuel)
        self.parent: str | None = (started.get("parent") or {}).get("run")
        self._children: dict[RunId, tuple[str, int]] = {}
        self._row: Row = started
        self._take(self._told(self.machine.start))

    # -- the rows ----------------------------------------------------------------------

    def feed(self, rows: Iterable[Row]) -> None:
        """Take in the rows that follow.

        Raises: SwarmError (resume.conflict), at the first difference.
        """
        for row in rows:
            self._row = row
            self.seq = row["seq"]
            self._last_at = row["time_s"]
            self.meter.recall(row)
            kind: str = row["kind"]
            if kind.startswith("step."):
                self._step(kind, row)
            elif kind.startswith("run."):
                self.status = next_status(self.status, kind)
                self._run(kind, row)
            elif kind.startswith("question."):
                self._questions.append(row)
            elif kind.startswith("child."):
                self._child(kind, row)
            elif kind == "timer.set":
                self._timers[row["key"], row["attempt"]].append(row)

    def _child(self, kind: str, row: Row) -> None:
        if kind == "child.started":
            self._children[RunId(row["child"])] = (row["key"], row["attempt"])
        else:
            self._children.pop(RunId(row["child"]), None)

    def _run(self, kind: str, row: Row) -> None:
        if kind == "run.cancelling":
            self.pausing = False
            self._settle()
            if row["code"] != "run.cancelled":
                self.ending = FlowError(row["code"], row["reason"])
            self._take(self._told(self.machine.cancel, row["reason"]))
        elif kind == "run.pausing":
            self.pausing = True
        elif kind == "run.resumed":
            self.pausing = False
        elif kind == "run.interrupted":
            self.deaths += row["cause"] == "died"
        elif kind == "run.finished":
            self._finished(row)

    def _finished(self, row: Row) -> None:
        machine = self.machine
        if not machine.done:
            raise self._conflict("a run that goes on", "its end")
        if machine.error is not None:
            raise self._conflict(f"the failure {machine.error.code}", "the end of a success")
        if digest_of(machine.result) != digest_of(row["ctx"]):
            raise self._conflict("another final context", "the one that was recorded")

    def _step(self, kind: str, row: Row) -> None:
        if kind == "step.started":
            self._started(row)
        elif kind in STEP_ENDS:
            self._ended(kind, row)
        elif kind == "step.retrying":
            self._retrying(row)
        elif self._found(row) is None:
            raise self._conflict(self._wanted(), _named(row))

    def _started(self, row: Row) -> None:
        asked = self._found(row)
        if asked is None or asked.open:
            raise self._conflict(self._wanted(), f"the start of {_named(row)}")
        dispatch = asked.dispatch
        for what, expected, got in (
            ("agent", dispatch.ref, row["step"]),
            ("node", dispatch.node_id, row["node"]),
            ("input of digest", digest_of(dispatch.input), row["input"]),
        ):
            if expected != got:
                raise self._conflict(f"{what} {shorten(expected)}", shorten(got))
        asked.began = asked.open = True

    def _ended(self, kind: str, row: Row) -> None:
        key, attempt = row["key"], row["attempt"]
        if kind == "step.cancelled":
            if self._owed.pop((kind, key, attempt), None) is None:
                raise self._conflict(self._wanted(), f"the cancellation of {_named(row)}")
            return
        asked = self._found(row)
        if asked is None or not asked.open:
            raise self._conflict(self._wanted(), f"the end of {_named(row)}")
        if kind == "step.interrupted":
            asked.open = False
            return
        self.deaths = 0
        self._settle()
        del self._asked[key]
        self._timers.pop((key, attempt), None)
        self._take(self._told(self.machine.resolve, key, _outcome(kind, row), attempt))

    def _retrying(self, row: Row) -> None:
        dispatch = self._owed.pop(("step.retrying", row["key"], row["attempt"]), None)
        if dispatch is None:
            raise self._conflict(self._wanted(), f"another attempt, {_named(row)}")
        if dispatch.delay_s != row["delay_s"]:
            raise self._conflict(f"a delay of {dispatch.delay_s} s", f"{row['delay_s']} s")
        self._asked[dispatch.key].due_at = row["time_s"] + dispatch.delay_s

    # -- the machine -------------------------------------------------------------------

    def _told(self, tell: Any, *answer: Any) -> tuple[Effect, ...]:
        try:
            return tell(*answer)
        except (FlowError, ProtocolError) as error:
            raise self._conflict("what the machine can take", str(error)) from error

    def _take(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                asked = self._asked.pop(effect.key)
                self._timers.pop((effect.key, effect.attempt), None)
                if asked.open:
                    self._owed["step.cancelled", effect.key, effect.attempt] = asked.dispatch
            else:
                self._asked[effect.key] = Asked(effect)
                if effect.attempt > 1:
                    self._owed["step.retrying", effect.key, effect.attempt] = effect

    def _settle(self) -> None:
        """Refuse to go on while the journal lacks what the machine asked for."""
        for (kind, _, _), dispatch in self._owed.items():
            raise self._conflict(f"{kind} of {_told_of(dispatch)}", str(self._row["kind"]))

    def _found(self, row: Row) -> Asked | None:
        asked = self._asked.get(row["key"])
        return asked if asked is not None and asked.dispatch.attempt == row["attempt"] else None

    def _wanted(self) -> str:
        """Say what may come, in a few words: the first of what is asked for."""
        for asked in self._asked.values():
            more = f" or {len(self._asked) - 1} more" if len(self._asked) > 1 else ""
            return _told_of(asked.dispatch) + more
        return "the end of the run" if self.machine.done else "nothing"

    def _conflict(self, expected: str, got: str) -> SwarmError:
        row = self._row
        where = f" at {row['key']}" if "key" in row else ""
        return SwarmError(
            "resume.conflict",
            f"run {self.run_id}, event {row['seq']}{where}: expected {expected}, got {got}",
            run_id=self.run_id,
            seq=row["seq"],
            key=row.get("key"),
        )

    # -- what it came to ---------------------------------------------------------------

    @property
    def elapsed_s(self) -> float:
        """The time from the first row to the last, as the time of day tells it."""
        return max(0.0, self._last_at - self._began_at)

    def asked(self) -> Iterator[Asked]:
        """Yield what has no answer yet: what had begun first, then the rest, each in order."""
        yield from (asked for asked in self._asked.values() if asked.began)
        yield from (asked for asked in self._asked.values() if not asked.began)

    def waits(self) -> Iterator[Row]:
        """Yield the rows about questions, and those about timers that are still set."""
        yield from self._questions
        for timers in self._timers.values():
            yield from timers

    def orphans(self, *, cancelling: bool) -> list[RunId]:
        """Return the children that nobody needs any more, where the run goes on."""
        asked = {(a.dispatch.key, a.dispatch.attempt) for a in self._asked.values()}
        return [run for run, at in self._children.items() if cancelling or at not in asked]

    def open_rows(self) -> list[rows.EventRow]:
        """Return the ends that attempts still lack, which nobody works on any more."""
        return [rows.interrupted(a.dispatch) for a in self._asked.values() if a.open]

    def closing_rows(self) -> list[rows.EventRow]:
        """Return what is to be written before the run goes on."""
        owed = [
            rows.cancelled(dispatch, 0.0) if kind == "step.cancelled" else rows.retrying(dispatch)
            for (kind, _, _), dispatch in self._owed.items()
        ]
        # A run that begins with another's answers is running, and not resumed.
        resumed = [] if self.status == "running" else [rows.run("run.resumed")]
        return [*self.open_rows(), *resumed, *owed]


def _machine(flow: Flow, started: Row) -> Machine:
    rerun = started.get("rerun")
    if rerun is None:
        return Machine(flow, started["input"])
    return EditedMachine(flow, started["input"], rerun["edits"])


def _outcome(kind: str, row: Row) -> Outcome:
    if kind == "step.finished":
        return Success(row["value"])
    return Failure(row["code"], row["message"], row["permanent"], row["data"])


def _named(row: Row) -> str:
    return f"step {shorten(row['step'])} at {row['key']} attempt {row['attempt']}"


def _told_of(dispatch: Dispatch) -> str:
    return f"step {shorten(dispatch.ref)} at {dispatch.key} attempt {dispatch.attempt}"
