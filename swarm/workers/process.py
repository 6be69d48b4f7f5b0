"""Agents of kind `process`: a program of its own does the step, fed on stdin.

`argv` is started as it is, never through a shell. The step's input is its stdin, its
stdout is the answer, each as text or as JSON; its end is a failure unless its exit code
is 0. It runs in the blueprint's folder, in a session and process group of its own, and
does not outlive its step: on timeout and cancellation the whole group gets TERM, then
KILL.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_json

from flowir.door import parse_json
from flowir.errors import FlowError, WorkerFailure, shorten
from flowir.values import kind_of
from swarm.blueprint.agent import AgentSpec
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox
from swarm.workers.child import DEFAULT_LIMITS, Child, ChildLimits, Ended

__all__ = ("ProcessFactory", "ProcessWorker", "Program")

_FORMS = ("text", "json")
# What a child sees of the host's environment, beside what its agent declares.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ")
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# Names that change what a program is, not what it does.
_ENV_REFUSED = re.compile(r"LD_.*|DYLD_.*|PYTHON.*|PATH|HOME|IFS|BASH_ENV|ENV")
# The host is out of something for a moment; anything else fails the same way again.
_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Program:
    """What to start and how to speak to it."""

    agent: str
    argv: tuple[str, ...]
    input: str = "text"
    output: str = "text"
    env: Mapping[str, str] | None = None
    cwd: Path | None = None


class ProcessWorker:
    """Starts one child process for each attempt."""

    def __init__(self, program: Program, limits: ChildLimits = DEFAULT_LIMITS) -> None:
        self._program = program
        self._limits = limits

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        stdin = self._stdin(call.input)
        ended = await self._spawn().communicate(stdin)
        self._check(ended)
        return Outcome(self._answer(ended.stdout))

    def _stdin(self, input: Any) -> bytes:
        if self._program.input == "json":
            return to_json(input)
        if input is None:
            return b""
        if isinstance(input, str):
            return input.encode()
        raise WorkerFailure(
            "process.input",
            f"{self._name}: expected a string as input, got {kind_of(input)} {shorten(input)}"
            ' — input = "json" sends any value',
            True,
        )

    def _spawn(self) -> Child:
        program = self._program
        try:
            return Child.spawn(
                program.argv,
                env=_environment(program.env or {}),
                cwd=program.cwd,
                limits=self._limits,
            )
        except OSError as error:
            raise WorkerFailure(
                "process.spawn", self._unstarted(error), error.errno not in _PASSING
            ) from error

    def _unstarted(self, error: OSError) -> str:
        what = (error.strerror or type(error).__name__).lower()
        if _folder_is_at_fault(error, self._program):
            return f"{self._name}: cannot start in {str(self._program.cwd)!r}: {what}"
        return f"{self._name}: cannot start {shorten(self._program.argv[0])}: {what}"

    def _check(self, ended: Ended) -> None:
        if ended.overflowed:
            raise self._failure(
                "process.output_limit", f"wrote more than {self._limits.stdout_bytes} bytes", ended
            )
        if ended.code > 0:
            raise self._failure(
                "process.exit", f"exited with code {ended.code}", ended, exit_code=ended.code
            )
        if ended.code < 0:
            name = _signal_name(-ended.code)
            raise self._failure("process.signal", f"was ended by {name}", ended, signal=name)

    def _failure(self, code: str, what: str, ended: Ended, **values: Any) -> WorkerFailure:
        stderr = ended.stderr.decode("utf-8", "replace")
        lines = stderr.strip().splitlines()
        last = f"; last line {shorten(lines[-1].strip(), _SHOWN)}" if lines else ""
        return WorkerFailure(
            code, f"{self._name} {what}{last}", False, {**values, "stderr": stderr}
        )

    def _answer(self, stdout: bytes) -> Any:
        try:
            if self._program.output == "json":
                return parse_json(stdout)
            return _without_newline(stdout.decode())
        except UnicodeDecodeError as error:
            sample = shorten(stdout[error.start : error.start + 16].hex(" "))
            raise self._refused(f"not UTF-8 at byte {error.start}: {sample}") from error
        except FlowError as error:
            raise self._refused(f"not JSON: {error}") from error

    def _refused(self, why: str) -> WorkerFailure:
        return WorkerFailure("process.output", f"{self._name}: its output is {why}")

    @property
    def _name(self) -> str:
        return f"process {self._program.agent!r}"


def _folder_is_at_fault(error: OSError, program: Program) -> bool:
    """Tell whether the folder, not the program, is what could not be used."""
    return program.cwd is not None and str(error.filename) == str(program.cwd)


def _environment(declared: Mapping[str, str]) -> dict[str, str]:
    """Build a child's environment.

    The folder of the host's own interpreter comes last on the path, so that `python3` is
    found on a machine that has none elsewhere, and shadows nothing.
    """
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = env.get("PATH") or os.defpath
    env["PATH"] = os.pathsep.join((path, str(Path(sys.executable).parent)))
    return {**env, **declared}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _without_newline(text: str) -> str:
    """Take the last newline away, as a shell's `$(…)` does."""
    return text.removesuffix("\n").removesuffix("\r")


class ProcessFactory:
    """Makes the workers of agents of kind `process`."""

    kind = "process"
    fields = frozenset({"argv", "input", "output", "env", "cwd"})
    required = frozenset({"argv"})

    def __init__(self, limits: ChildLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find every wrong setting; whether the program exists is known when it starts."""
        settings = agent.settings
        yield from _argv_problems(settings["argv"])
        for name in ("input", "output"):
            yield from _form_problems(name, settings.get(name, "text"))
        yield from _env_problems(settings.get("env", {}))
        yield from _cwd_problems(settings.get("cwd"), tools.folder)

    def build(self, agent: AgentSpec, tools: Toolbox) -> ProcessWorker:
        """Make the worker of an agent without problems."""
        settings = agent.settings
        program = Program(
            agent.name,
            tuple(settings["argv"]),
            settings.get("input", "text"),
            settings.get("output", "text"),
            settings.get("env"),
            _folder(settings.get("cwd"), tools.folder),
        )
        return ProcessWorker(program, self._limits)


def _folder(cwd: str | None, folder: Path | None) -> Path | None:
    if cwd is None:
        return folder
    return Path(cwd) if folder is None else folder / cwd


def _argv_problems(argv: Any) -> Iterable[FieldProblem]:
    if type(argv) is not list or not argv:
        hint = "there is no shell: one string for each argument"
        yield FieldProblem(
            "process.argv",
            "argv",
            f"expected a list of a program and its arguments, got {shorten(cast('Any', argv))}",
            hint,
        )
        return
    for i, item in enumerate(cast("list[Any]", argv)):
        if not isinstance(item, str) or "\0" in item or (i == 0 and not item):
            yield FieldProblem(
                "process.argv", f"argv[{i}]", f"expected a string, got {shorten(item)}"
            )


def _form_problems(name: str, form: Any) -> Iterable[FieldProblem]:
    if form not in _FORMS:
        yield FieldProblem(
            f"process.{name}", name, f"expected 'text' or 'json', got {shorten(form)}"
        )


def _env_problems(env: Any) -> Iterable[FieldProblem]:
    if not isinstance(env, dict):
        yield FieldProblem(
            "process.env", "env", f"expected an object of strings, got {shorten(env)}"
        )
        return
    for name, value in cast("dict[str, Any]", env).items():
        if not _ENV_NAME.fullmatch(name) or _ENV_REFUSED.fullmatch(name):
            yield FieldProblem(
                "process.env",
                f"env.{name}",
                f"expected a name of capitals, digits, '_' that does not change how programs "
                f"are found or loaded, got {shorten(name)}",
            )
        elif not isinstance(value, str) or "\0" in value:
            yield FieldProblem(
                "process.env", f"env.{name}", f"expected a string, got {shorten(value)}"
            )


def _cwd_problems(cwd: Any, folder: Path | None) -> Iterable[FieldProblem]:
    if cwd is None:
        return
    if not isinstance(cwd, str):
        yield FieldProblem("process.cwd", "cwd", f"expected a folder, got {shorten(cwd)}")
    elif folder is not None and not (folder / cwd).is_dir():
        yield FieldProblem(
            "process.cwd", "cwd", f"expected a folder below {folder}, got {shorten(cwd)}"
        )
