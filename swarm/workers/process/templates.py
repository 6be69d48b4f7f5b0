"""Texts with placeholders: a closed set of them, filled in once.

`{name}` stands for a value, `{{` and `}}` for braces. What is filled in is never looked at
again, so a value that holds `{other}` stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pydantic_core import to_json

from flowir.errors import WorkerFailure, shorten
from flowir.records import dataclass
from flowir.values import kind_of
from swarm.blueprint.words import suggest

__all__ = ("PLACEHOLDERS", "Template", "TemplateRefused", "Values", "as_text")

# Name -> whether its value comes from the run, and so from whoever feeds it.
PLACEHOLDERS: Mapping[str, bool] = {
    "input": True,
    "input_file": False,
    "agent": False,
    "model": True,
    "instructions": True,
    "workdir": False,
    "folder": False,
    "run_id": False,
    "step": False,
    "key": False,
    "attempt": False,
    "idempotency_key": False,
    "timeout_s": False,
    "secrets_fd": False,
}
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_MEMBERS = re.compile(r"input(\.[A-Za-z0-9_-]+)+")

Values: TypeAlias = Callable[[str], str]


class TemplateRefused(ValueError):
    """A text that is no template; `hint` says what to write instead."""

    def __init__(self, said: str, hint: str | None = None) -> None:
        super().__init__(said)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Template:
    """A text, in turns: what stands there, and the name of what is filled in.

    >>> Template.of("--title={input.title} {{}}").parts
    ('--title=', 'input.title', ' {}')
    """

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """Read a template.

        Raises: TemplateRefused.
        """
        parts, literal, end = [], "", 0
        for token in _TOKEN.finditer(text):
            literal += text[end : token.start()]
            end = token.end()
            if token[0] in ("{{", "}}"):
                literal += token[0][0]
            elif token[1] is None:
                raise TemplateRefused(
                    f"expected a placeholder or a brace written twice, got a lone {token[0]!r}",
                    "write '{{' for '{' and '}}' for '}'",
                )
            else:
                parts += [literal, _placeholder(token[1])]
                literal = ""
        return cls((*parts, literal + text[end:]))

    @property
    def names(self) -> frozenset[str]:
        """What it fills in."""
        return frozenset(name.partition(".")[0] for name in self.parts[1::2])

    @property
    def begins_with_data(self) -> bool:
        """Whether what comes first is a value of the run."""
        return not self.parts[0] and any(PLACEHOLDERS[name] for name in self.names)

    def render(self, values: Values) -> str:
        """Fill it in."""
        return "".join(
            values(part) if number % 2 else part for number, part in enumerate(self.parts)
        )


def _placeholder(name: str) -> str:
    if name in PLACEHOLDERS or _MEMBERS.fullmatch(name):
        return name
    word = name.strip()
    hint = suggest(word, PLACEHOLDERS)
    if not re.fullmatch(r"[A-Za-z_.]{1,40}", word):
        hint = "write '{{' for '{' and '}}' for '}'"
    raise TemplateRefused(f"expected a placeholder, got {shorten('{' + name + '}')}", hint)


def as_text(value: Any) -> str:
    """Write a value where a text is due: a string as it is, null as nothing, others as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value).decode()


def member(input: Any, name: str) -> Any:
    """Find what `input.a.b` names; steps through arrays are their indices.

    Raises: WorkerFailure (process.placeholder).
    """
    value = input
    for step in name.split(".")[1:]:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise WorkerFailure(
                "process.placeholder",
                f"{{{name}}}: expected a member {step!r} in the step's input, got "
                f"{kind_of(value)} {shorten(value)}",
                True,
            )
    return value


def names_of(templates: Iterable[Template]) -> frozenset[str]:
    """Return what any of them fills in."""
    return frozenset[str]().union(*(template.names for template in templates))
