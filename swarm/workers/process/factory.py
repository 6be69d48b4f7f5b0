"""Finds what is wrong with an agent of kind `process`, and makes its worker."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from flowir.errors import Problem, shorten
from flowir.report import member
from flowir.values import measure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.shapes import is_object
from swarm.blueprint.words import suggest
from swarm.ports.worker import FieldProblem, Toolbox
from swarm.workers.process.environment import name_is_allowed
from swarm.workers.process.house import ProcessHouse
from swarm.workers.process.limits import limit_problems
from swarm.workers.process.program import ANY_INPUT, OWN_FOLDER, Program, as_value
from swarm.workers.process.reading import reading_problems
from swarm.workers.process.templates import PLACEHOLDERS, Template, TemplateRefused, names_of
from swarm.workers.process.worker import ProcessWorker
from swarm.workers.references import REFS

__all__ = ("ProcessFactory",)

_INPUTS = ("text", "json", "none")
_PART_FORMS = ("text", "json", "base64")
_PART_FIELDS = frozenset({"file", "as", "optional"})
_CONTAINERS: Mapping[type, str] = {dict: "an object", list: "an array"}
# Bytes of settings that are read in a microsecond.
_READ = 16
# Placeholders that stand for a setting of the agent.
_SETTINGS = ("model", "instructions")


class ProcessFactory:
    """Makes the workers of agents of kind `process`, which share a house."""

    kind = "process"
    fields = frozenset(
        {
            "argv",
            "input",
            "stdin",
            "output",
            "result",
            "progress",
            "usage",
            "error",
            "exit_ok",
            "parts",
            "env",
            "cwd",
            "secrets",
            "secrets_to",
            "limits",
            "refs",
        }
    )
    required = frozenset({"argv"})

    def __init__(self, house: ProcessHouse | None = None) -> None:
        self._house = ProcessHouse() if house is None else house

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find every wrong setting; whether the program exists is known when it starts."""
        settings = as_value(agent.settings)
        host = self._house.settings
        checked = _Checked(agent)
        yield from checked.argv(settings["argv"], host.programs)
        yield from _word_problems("input", settings.get("input", "text"), _INPUTS)
        yield from _word_problems("refs", settings.get("refs", "keep"), REFS)
        yield from checked.stdin(settings)
        yield from checked.env(settings.get("env", {}))
        yield from _cwd_problems(settings.get("cwd"), tools.folder)
        yield from reading_problems(settings)
        yield from _part_problems(settings.get("parts", {}))
        yield from _exit_problems(settings.get("exit_ok", [0]))
        yield from checked.secrets(settings, tools)
        yield from limit_problems(settings.get("limits", {}), host.most)

    def build(self, agent: AgentSpec, tools: Toolbox) -> ProcessWorker:
        """Make the worker of an agent without problems."""
        program = Program.of(agent, tools.folder, self._house.settings.limits)
        return ProcessWorker(program, self._house)

    def misfit(self, agent: AgentSpec, given: Any, purse: list[int]) -> Problem | None:
        """Return why a program that is given text cannot be given this."""
        # A reference stands for what it refers to.
        if given is None or isinstance(given, str) or _refers(given):
            return None
        purse[0] -= measure(agent.settings)[0] // _READ
        if not Program.of(agent, None, self._house.settings.limits).takes_text:
            return None
        got = _CONTAINERS.get(type(given)) or shorten(given)
        return Problem("process.input", "$", f"expected a string, got {got}", ANY_INPUT)


def _refers(given: Any) -> bool:
    return is_object(given) and "$ref" in given


class _Checked:
    """Checks the templates of one agent, and remembers what they fill in."""

    def __init__(self, agent: AgentSpec) -> None:
        self._agent = agent
        self._templates: list[Template] = []
        self._is_broken = False

    def argv(self, argv: Any, programs: Any) -> Iterator[FieldProblem]:
        if not isinstance(argv, list) or not argv:
            hint = "there is no shell: one string for each argument"
            said = f"expected a list of a program and its arguments, got {shorten(argv)}"
            self._is_broken = True
            yield FieldProblem("process.argv", "argv", said, hint)
            return
        for number, text in enumerate(cast("list[Any]", argv)):
            place = f"argv[{number}]"
            if not isinstance(text, str) or "\0" in text or (number == 0 and not text):
                self._is_broken = True
                yield FieldProblem("process.argv", place, f"expected a string, got {shorten(text)}")
                continue
            template = yield from self._template(place, text)
            if template is not None and number == 0:
                yield from _program_problems(template, text, programs)

    def env(self, env: Any) -> Iterator[FieldProblem]:
        if not isinstance(env, dict):
            said = f"expected an object of strings, got {shorten(env)}"
            yield FieldProblem("process.env", "env", said)
            return
        for name, text in cast("dict[str, Any]", env).items():
            place = f"env{member(name)}"
            if not name_is_allowed(name):
                yield FieldProblem(
                    "process.env",
                    place,
                    f"expected a name of capitals, digits, '_' that does not change how programs "
                    f"are found or loaded, got {shorten(name)}",
                )
            elif not isinstance(text, str) or "\0" in text:
                self._is_broken = True
                yield FieldProblem("process.env", place, f"expected a string, got {shorten(text)}")
            else:
                yield from self._template(place, text)

    def stdin(self, settings: Mapping[str, Any]) -> Iterator[FieldProblem]:
        if "stdin" not in settings:
            return
        text = settings["stdin"]
        if not isinstance(text, str):
            said = f"expected a text with placeholders, got {shorten(text)}"
            yield FieldProblem("process.input", "stdin", said)
        else:
            yield from self._template("stdin", text)

    def secrets(self, settings: Mapping[str, Any], tools: Toolbox) -> Iterator[FieldProblem]:
        names = settings.get("secrets", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            said = f"expected a list of names of secrets, got {shorten(names)}"
            yield FieldProblem("process.secrets", "secrets", said)
            return
        for number, name in enumerate(cast("list[str]", names)):
            if tools.secrets is not None and name not in tools.secrets:
                said = f"expected a secret that the host registered, got {name!r}"
                hint = f'host.secret("{name}", …), or [secrets] of swarm.toml'
                yield FieldProblem("process.secrets", f"secrets[{number}]", said, hint)
        to = settings.get("secrets_to", "fd")
        yield from _word_problems("secrets_to", to, ("fd", "stdin"), code="process.secrets")
        if not self._is_broken:
            uses_fd = "secrets_fd" in names_of(self._templates)
            yield from _handing_problems(bool(names), to, uses_fd=uses_fd)

    def _template(self, place: str, text: str) -> Generator[FieldProblem, None, Template | None]:
        try:
            template = Template.of(text)
        except TemplateRefused as refused:
            self._is_broken = True
            yield FieldProblem("process.placeholder", place, str(refused), refused.hint)
            return None
        self._templates.append(template)
        for name in sorted(template.names & set(_SETTINGS)):
            if not self._agent.settings.get(name):
                said = f"expected the agent to have {name!r}, got none"
                yield FieldProblem("process.placeholder", place, said, f"set {name!r}")
        return template


def _program_problems(template: Template, text: str, programs: Any) -> Iterator[FieldProblem]:
    if any(PLACEHOLDERS[name] for name in template.names):
        said = f"expected a program that is the same in every step, got {shorten(text)}"
        yield FieldProblem("process.argv", "argv[0]", said)
    elif programs is not None and text not in programs:
        said = f"expected a program that the host allows, got {shorten(text)}"
        yield FieldProblem("process.program", "argv[0]", said, suggest(text, programs))


def _handing_problems(has_secrets: bool, to: Any, *, uses_fd: bool) -> Iterator[FieldProblem]:
    if has_secrets and to == "fd" and not uses_fd:
        said = "expected {secrets_fd} in argv or env, where the program reads them, got none"
        hint = 'or hand them over as the first line of stdin: secrets_to = "stdin"'
        yield FieldProblem("process.secrets", "secrets", said, hint)
    if uses_fd and not (has_secrets and to == "fd"):
        said = "expected secrets to read at {secrets_fd}, got none"
        yield FieldProblem("process.secrets", "argv", said, "name them in 'secrets'")


def _word_problems(
    name: str, word: Any, words: Iterable[str], code: str | None = None
) -> Iterator[FieldProblem]:
    words = tuple(words)
    if word not in words:
        known = " or ".join(map(repr, words))
        hint = suggest(word, words) if isinstance(word, str) else None
        said = f"expected {known}, got {shorten(word)}"
        yield FieldProblem(code or f"process.{name}", name, said, hint)


def _cwd_problems(cwd: Any, folder: Path | None) -> Iterator[FieldProblem]:
    if cwd is None or cwd == OWN_FOLDER:
        return
    if not isinstance(cwd, str):
        yield FieldProblem("process.cwd", "cwd", f"expected a folder, got {shorten(cwd)}")
    elif folder is not None and not (folder / cwd).is_dir():
        said = f"expected a folder below {folder}, got {shorten(cwd)}"
        hint = f"{OWN_FOLDER!r} is the step's own directory"
        yield FieldProblem("process.cwd", "cwd", said, hint)


def _exit_problems(codes: Any) -> Iterator[FieldProblem]:
    if (
        not isinstance(codes, list)
        or not codes
        or not all(type(code) is int and 0 <= code <= 255 for code in codes)
    ):
        said = f"expected a list of exit codes from 0 to 255, got {shorten(codes)}"
        yield FieldProblem("process.exit_ok", "exit_ok", said)


def _part_problems(parts: Any) -> Iterator[FieldProblem]:
    if not isinstance(parts, dict):
        said = f"expected an object of files by the names of parts, got {shorten(parts)}"
        yield FieldProblem("process.parts", "parts", said)
        return
    for name, given in cast("dict[str, Any]", parts).items():
        place = f"parts.{name}"
        said = _part_fault(given)
        if said is not None:
            yield FieldProblem("process.parts", place, said)


def _part_fault(given: Any) -> str | None:
    fields: Any = {"file": given} if isinstance(given, str) else given
    if not isinstance(fields, dict) or "file" not in fields:
        return f"expected a file, or an object with 'file', got {shorten(given)}"
    unknown = sorted(set(fields) - _PART_FIELDS)
    if unknown:
        return f"expected 'file', 'as' and 'optional', got {unknown[0]!r}"
    file, form, optional = fields["file"], fields.get("as", "text"), fields.get("optional", False)
    if not _is_below(file):
        return f"expected a file below the working directory, got {shorten(file)}"
    if form not in _PART_FORMS:
        return (
            f"expected 'as' to be one of {', '.join(map(repr, _PART_FORMS))}, got {shorten(form)}"
        )
    if type(optional) is not bool:
        return f"expected 'optional' to be true or false, got {shorten(optional)}"
    return None


def _is_below(file: Any) -> bool:
    if not isinstance(file, str) or not file or "\0" in file:
        return False
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and path.parts != ()
