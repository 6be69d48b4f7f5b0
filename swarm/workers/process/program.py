"""An agent of kind `process`, read from its settings: what to start, and how to speak to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from flowir.records import dataclass
from swarm.blueprint.agent import AgentSpec
from swarm.workers.process.limits import Limits
from swarm.workers.process.reading import Reading
from swarm.workers.process.templates import Template, names_of

__all__ = ("ANY_INPUT", "OWN_FOLDER", "PartFile", "Program", "as_value")

# The `cwd` of a program that works in the attempt's own directory.
OWN_FOLDER = "{workdir}"
ANY_INPUT = 'input = "json" sends any value'


@dataclass(frozen=True, slots=True)
class PartFile:
    """A file of the working directory that becomes a part."""

    name: str
    file: str
    form: str = "text"
    optional: bool = False

    @classmethod
    def of(cls, name: str, given: Any) -> PartFile:
        """Read one, as a path or as an object."""
        if isinstance(given, str):
            return cls(name, given)
        form, optional = given.get("as", "text"), given.get("optional", False)
        return cls(name, given["file"], form, optional)


@dataclass(frozen=True, slots=True)
class Program:
    """What to start and how to speak to it.

    Shape: `cwd` None: the attempt's own directory. `stdin` None: as `input` says.
    """

    agent: str
    argv: tuple[Template, ...]
    env: Mapping[str, Template] = field(default_factory=dict[str, Template])
    cwd: Path | None = None
    folder: Path | None = None
    input: str = "text"
    stdin: Template | None = None
    output: str = "text"
    reading: Reading = field(default_factory=Reading)
    parts: tuple[PartFile, ...] = ()
    secrets: tuple[str, ...] = ()
    secrets_to: str = "fd"
    exit_ok: frozenset[int] = frozenset({0})
    limits: Limits = field(default_factory=Limits)
    refs: str = "keep"

    @classmethod
    def of(cls, agent: AgentSpec, folder: Path | None, limits: Limits) -> Program:
        """Read an agent that has no problems; *limits* hold where it says nothing."""
        settings = as_value(agent.settings)
        argv = tuple(map(Template.of, settings["argv"]))
        env = {name: Template.of(text) for name, text in settings.get("env", {}).items()}
        # What comes in an argument does not come on stdin too, unless that is said.
        comes_otherwise = names_of((*argv, *env.values())) & {"input", "input_file"}
        stdin = settings.get("stdin")
        return cls(
            agent.name,
            argv,
            env,
            _cwd(settings.get("cwd"), folder),
            folder,
            settings.get("input", "none" if comes_otherwise else "text"),
            None if stdin is None else Template.of(stdin),
            settings.get("output", "text"),
            Reading.of(settings),
            tuple(PartFile.of(*item) for item in settings.get("parts", {}).items()),
            tuple(settings.get("secrets", ())),
            settings.get("secrets_to", "fd"),
            frozenset(settings.get("exit_ok", (0,))),
            limits.changed(settings.get("limits", {})),
            settings.get("refs", "keep"),
        )

    @property
    def takes_text(self) -> bool:
        """Whether it is sent its step's input as it is, which must be text then."""
        is_sent = self.stdin is None and "input_file" not in self.fills_in
        return is_sent and self.input == "text"

    @property
    def fills_in(self) -> frozenset[str]:
        """The placeholders that it uses."""
        texts = (*self.argv, *self.env.values())
        return names_of(texts if self.stdin is None else (*texts, self.stdin))


def as_value(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read settings as if the answer were none that is kept apart: data is the whole text."""
    apart = settings.get("output") == "ref"
    return {**settings, "output": "text"} if apart else dict(settings)


def _cwd(given: str | None, folder: Path | None) -> Path | None:
    if given is None:
        return folder
    if given == OWN_FOLDER:
        return None
    return Path(given) if folder is None else folder / given
