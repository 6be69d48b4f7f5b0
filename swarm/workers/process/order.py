"""One attempt's order: the templates filled in, the stdin written, the limits set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic_core import to_json

from flowir.errors import WorkerFailure, shorten
from flowir.values import kind_of
from swarm.ports.worker import Call
from swarm.workers.process.child import Launch
from swarm.workers.process.environment import MARK, base_environment
from swarm.workers.process.limits import Limits
from swarm.workers.process.program import ANY_INPUT, Program
from swarm.workers.process.secrets import SecretsTooLarge, handed_over
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.process.templates import as_text, member

__all__ = ("Order",)

# What Linux takes in one argument, or in one variable with its name and '='.
_LONGEST = 128 * 1024 - 1
_SPARE_CPU_S = 5
_SECRETS_FD = "3"


class Order:
    """What is started for one attempt.

    Raises, when made: WorkerFailure (process.input, process.argument, process.placeholder,
    process.secrets).
    """

    def __init__(
        self,
        program: Program,
        call: Call,
        settings: ProcessSettings,
        *,
        workdir: Path,
        secrets: Mapping[str, str],
        mark: str,
    ) -> None:
        self._program = program
        self._call = call
        self._workdir = workdir
        self.timeout_s = settings.timeout_s if call.timeout_s is None else call.timeout_s
        self._name = f"process {program.agent!r}"
        handed = self._handed(secrets) if secrets else None
        to_fd = program.secrets_to == "fd"
        first = b"" if handed is None or to_fd else handed
        self.stdin = first + self._stdin()
        self.launch = Launch(
            self._argv(),
            self._env(settings, mark),
            program.cwd or workdir,
            workdir,
            self._limits(),
            handed if to_fd else None,
        )

    def _limits(self) -> Limits:
        limits = self._program.limits
        if limits.cpu_s is None and self.timeout_s is not None:
            return limits.changed({"cpu_s": int(self.timeout_s) + 1 + _SPARE_CPU_S})
        return limits

    def _handed(self, secrets: Mapping[str, str]) -> bytes:
        try:
            return handed_over(secrets)
        except SecretsTooLarge as error:
            raise self._refused("process.secrets", str(error)) from None

    # -- stdin -------------------------------------------------------------------------

    def _stdin(self) -> bytes:
        program = self._program
        if program.stdin is not None:
            return program.stdin.render(self._value).encode()
        if program.takes_text:
            return self._text()
        is_sent = program.input == "json" and "input_file" not in program.fills_in
        return to_json(self._call.input) if is_sent else b""

    def _text(self) -> bytes:
        given = self._call.input
        if given is None:
            return b""
        if isinstance(given, bytes):
            return given
        if isinstance(given, str):
            return given.encode()
        raise self._refused(
            "process.input",
            f"expected a string as input, got {kind_of(given)} {shorten(given)} — {ANY_INPUT}",
        )

    # -- templates ---------------------------------------------------------------------

    def _argv(self) -> list[str]:
        made: list[str] = []
        for number, template in enumerate(self._program.argv):
            text = template.render(self._value)
            if template.begins_with_data and text.startswith("-") and "--" not in made:
                raise self._refused(
                    "process.argument",
                    f"argv[{number}]: expected a value that is no option, got {shorten(text)}"
                    " — put '--' before it, or write '--name={input}'",
                )
            made.append(self._checked(f"argv[{number}]", text))
        return made

    def _env(self, settings: ProcessSettings, mark: str) -> dict[str, str]:
        env = base_environment(self._workdir, settings.pass_env)
        for name, template in self._program.env.items():
            text = template.render(self._value)
            env[name] = self._checked(f"env.{name}", text, len(name) + 1)
        return {**env, MARK: mark}

    def _checked(self, place: str, text: str, more: int = 0) -> str:
        if "\0" in text:
            raise self._refused("process.argument", f"{place}: expected text without a NUL")
        size = len(text.encode("utf-8", "surrogatepass")) + more
        if size > _LONGEST:
            raise self._refused(
                "process.argument",
                f"{place}: expected at most {_LONGEST} bytes, got {size}"
                " — large data goes by stdin, or as {input_file}",
            )
        return text

    def _value(self, name: str) -> str:
        call, program = self._call, self._program
        if name == "input" or name.startswith("input."):
            return as_text(member(call.input, name))
        spec = call.spec
        match name:
            case "input_file":
                return self._input_file()
            case "model" | "instructions":
                return "" if spec is None else getattr(spec, name)
            case "workdir":
                return str(self._workdir)
            case "folder":
                return str(program.folder or self._workdir)
            case "step":
                return call.node_id or call.key
            case "timeout_s":
                return "" if self.timeout_s is None else f"{self.timeout_s:g}"
            case "secrets_fd":
                return _SECRETS_FD
            case _:
                return str(getattr(call, name))

    def _input_file(self) -> str:
        """Write the input down, once."""
        is_json = self._program.input == "json" or not isinstance(self._call.input, str)
        file = self._workdir / ("input.json" if is_json else "input.txt")
        if not file.exists():
            file.write_bytes(to_json(self._call.input) if is_json else self._text())
        return str(file)

    def _refused(self, code: str, said: str) -> WorkerFailure:
        return WorkerFailure(code, f"{self._name}: {said}", True)
