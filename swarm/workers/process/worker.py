"""Does attempts by starting a program for each.

order    templates filled in, a directory of its own
child    started by a keeper, fed while it is listened to
end      by itself, by a limit, by a deadline: then all that it started is gone
answer   the result, its parts and what it used; or one failure
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import anyio
from anyio import CancelScope

from flowir.door import parse_json
from flowir.errors import FlowError, WorkerFailure, shorten
from swarm.ports.worker import Call, CostlyFailure, Outcome, StepLink
from swarm.workers.process.child import Child, Unstarted
from swarm.workers.process.ends import bad_end, is_passing, unstarted
from swarm.workers.process.hearing import Hearing, last_line
from swarm.workers.process.house import ProcessHouse
from swarm.workers.process.nursery import NurseryUnavailable
from swarm.workers.process.order import Order
from swarm.workers.process.program import PartFile, Program
from swarm.workers.process.secrets import Redactor
from swarm.workers.process.workdir import FileRefused, read_below
from swarm.workers.references import handed

__all__ = ("ProcessWorker",)

_SHOWN = 200
_PART_BYTES = 4 * 1024 * 1024


class ProcessWorker:
    """Starts one program for each attempt."""

    def __init__(self, program: Program, house: ProcessHouse) -> None:
        self._program = program
        self._house = house
        self._name = f"process {program.agent!r}"

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        workdirs, kept = self._house.workdirs, False
        workdir = workdirs.make()
        try:
            program = self._program
            is_text = program.input == "text"
            async with handed(call.input, link, program.refs, is_text=is_text) as given:
                asked = call if given is call.input else call.with_input(given)
                return await self._within(workdir, asked, link)
        except WorkerFailure as failure:
            if self._house.settings.keep_workdir:
                kept = True
                raise _with(failure, workdir=str(workdirs.keep(workdir))) from failure.__cause__
            raise
        finally:
            if not kept:
                with CancelScope(shield=True):
                    await workdirs.remove(workdir)

    async def _within(self, workdir: Path, call: Call, link: StepLink) -> Outcome:
        secrets = self._secrets()
        redactor = Redactor(secrets)
        order = Order(
            self._program,
            call,
            self._house.settings,
            workdir=workdir,
            secrets=secrets,
            mark=self._house.mark(call),
        )
        child = await self._started(order)
        hearing = Hearing(self._program, link, redactor)
        # Whoever gave the step its time stops it himself.
        limit_s = None if call.timeout_s is not None else order.timeout_s
        with anyio.move_on_after(limit_s) as scope:
            await self._attend(child, order.stdin, hearing, redactor)
        if scope.cancelled_caught:
            said = f"{self._program.agent!r}: no answer within {limit_s:g} s"
            raise CostlyFailure("step.timeout", said, False, None, usage=hearing.found.usage)
        return self._outcome(child, hearing, redactor, workdir)

    def _secrets(self) -> dict[str, str]:
        try:
            return self._house.secrets.of(self._program.secrets)
        except KeyError as error:
            said = f"{self._name}: expected a secret of the host, got {error.args[0]!r}"
            raise WorkerFailure("process.secrets", said, True) from None

    async def _started(self, order: Order) -> Child:
        shop = self._house
        try:
            return await Child.start(shop.nursery, order.launch, shop.settings.patience)
        except Unstarted as error:
            program = order.launch.argv[0]
            reason, said = unstarted(error, program, Path(order.launch.cwd))
            raise self._unstarted(said, reason, not is_passing(error)) from None
        except NurseryUnavailable as error:
            raise self._unstarted(f"cannot start anything: {error}", "system", False) from error
        except OSError as error:
            raise self._unstarted(f"cannot start anything: {error}", "system", False) from error

    def _unstarted(self, said: str, reason: str, permanent: bool) -> WorkerFailure:
        return WorkerFailure(
            "process.spawn", f"{self._name}: {said}", permanent, {"reason": reason}
        )

    # -- while it runs -----------------------------------------------------------------

    async def _attend(
        self, child: Child, stdin: bytes, hearing: Hearing, redactor: Redactor
    ) -> None:
        """Feed it and listen, until it and all that it started is gone, and all is told."""
        async with anyio.create_task_group() as telling:
            telling.start_soon(hearing.tell)
            try:
                await self._listen(child, stdin, hearing, redactor)
            finally:
                overflows = hearing.fault is not None and hearing.fault.overflows
                await child.end(gently=not overflows)
                hearing.end()
        if hearing.broken is not None:
            raise hearing.broken

    async def _listen(
        self, child: Child, stdin: bytes, hearing: Hearing, redactor: Redactor
    ) -> None:
        # Room for a secret whose beginning is cut off.
        most = self._program.limits.stderr_bytes + redactor.longest
        drain_s = self._house.settings.patience.drain_s
        heard, exited = anyio.Event(), anyio.Event()

        async def hear() -> None:
            async with anyio.create_task_group() as both:
                both.start_soon(child.listen, hearing.hear)
                both.start_soon(child.keep_stderr, most)
            heard.set()

        async def watch() -> None:
            await child.watch()
            exited.set()
            hearing.faulted.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.feed, stdin)
            tasks.start_soon(hear)
            tasks.start_soon(watch)
            await hearing.faulted.wait()
            fault = hearing.fault
            if hearing.broken is None and not (fault and fault.overflows):
                # What it says is no use any more, but how it ends may say why.
                with anyio.move_on_after(drain_s):
                    await (exited.wait() if fault else heard.wait())
            tasks.cancel_scope.cancel()

    # -- what came of it ---------------------------------------------------------------

    def _outcome(
        self, child: Child, hearing: Hearing, redactor: Redactor, workdir: Path
    ) -> Outcome:
        program, found, fault = self._program, hearing.found, hearing.fault
        stderr = self._stderr(child, redactor)
        fail = _Failing(self._name, stderr, hearing, redactor)
        if fault is not None and fault.overflows:
            raise fail.because(fault.code, fault.said, fault.data)
        bad = bad_end(child.ended, program.exit_ok)
        # A program that was asked to end, because of what it said, is not to blame for that.
        if bad is not None and not (fault is not None and child.asked):
            raise fail.because(bad[0], bad[1], bad[2], with_stderr=True)
        if fault is not None:
            raise fail.because(fault.code, fault.said, fault.data)
        if found.error is not None:
            said = f"says that it failed: {shorten(found.error, _SHOWN)}"
            raise fail.because("process.error", said, {"error": found.error})
        if not found.has_result:
            said = f"said nothing at {program.reading.result!r}"
            if program.reading.result == "last":
                said = "ended without a message"
            raise fail.because("process.output", said)
        parts = {part.name: redactor.value(self._part(part, workdir)) for part in program.parts}
        present = {name: value for name, value in parts.items() if value is not None}
        return Outcome(redactor.value(found.result), present, found.usage)

    def _stderr(self, child: Child, redactor: Redactor) -> str:
        kept = child.ended.stderr
        most = self._program.limits.stderr_bytes
        cut = len(kept) > most
        text = redactor.text(kept.decode("utf-8", "replace"))
        return text[-most:] if cut else text

    def _part(self, part: PartFile, workdir: Path) -> Any:
        try:
            data = read_below(workdir, part.file, _PART_BYTES)
        except FileRefused as refused:
            if part.optional and "not there" in str(refused):
                return None
            raise self._no_part(part, str(refused)) from None
        try:
            if part.form == "base64":
                return base64.b64encode(data).decode()
            return parse_json(data) if part.form == "json" else data.decode()
        except (UnicodeDecodeError, FlowError) as error:
            raise self._no_part(part, f"is no {part.form}: {error}") from None

    def _no_part(self, part: PartFile, why: str) -> WorkerFailure:
        said = f"{self._name}: part {part.name!r}: {part.file!r} {why}"
        return WorkerFailure("process.part", said)


class _Failing:
    """Makes the failures of one attempt: one line, the end of stderr, and no secret."""

    def __init__(self, name: str, stderr: str, hearing: Hearing, redactor: Redactor) -> None:
        self._name = name
        self._stderr = stderr
        self._hearing = hearing
        self._redactor = redactor

    def because(
        self, code: str, said: str, data: Any = None, *, with_stderr: bool = False
    ) -> CostlyFailure:
        values = {**(data or {}), "stderr": self._stderr}
        last = last_line(self._stderr) if with_stderr else ""
        more = f"; last line {shorten(last, _SHOWN)}" if last else ""
        between = (
            ": " if said.startswith(("expected", "line ", "event ", "frame ", "its ")) else " "
        )
        text = self._redactor.text(f"{self._name}{between}{said}{more}")
        usage = self._hearing.found.usage
        return CostlyFailure(code, text, False, self._redactor.value(values), usage=usage)


def _with(failure: WorkerFailure, **values: Any) -> WorkerFailure:
    """Add values to a failure's data."""
    data = failure.data if isinstance(failure.data, dict) else {}
    usage = failure.usage if isinstance(failure, CostlyFailure) else None
    data = {**data, **values}
    if usage is None:
        return WorkerFailure(failure.code, failure.message, failure.permanent, data)
    return CostlyFailure(failure.code, failure.message, failure.permanent, data, usage=usage)
