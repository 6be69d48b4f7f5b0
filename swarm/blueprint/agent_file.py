"""Agents written in Markdown: front matter between two lines `---`, and instructions.

    ---
    name: reviewer          # else the file's name
    kind: human
    verdict: [PASS, BLOCKED]
    limits: { timeout_s: 3600 }
    schema: { input: …, output: … }
    ---
    Read the draft as its reader would.

The front matter has the fields of an agent, two groups of them, and whatever else its author
wants to keep, which goes to `extra`. Reads strictly; knows no file system.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from flowir.door import admit
from flowir.errors import FlowError, Problem, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from swarm.blueprint.agent import COMMON_FIELDS
from swarm.blueprint.places import inside, nearest
from swarm.blueprint.shapes import is_object
from swarm.blueprint.words import suggest

__all__ = ("AgentFile", "AgentFileRefused", "read_agent_file")

# A pure Python YAML parser reads about 100 KB a second.
_FRONT = 32 * 1024
_DEPTH = 32
_CODE = "agent.front_matter"
_FENCE = re.compile(r"---[ \t]*\n")
_GROUPED = {"limits": ("timeout_s", "concurrency", "retry", "reserve")}
_SCHEMAS = {"input": "input_schema", "output": "output_schema"}


class AgentFileRefused(Exception):
    """Front matter that cannot be read: sentence, line, hint."""

    def __init__(self, sentence: str, line: int, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line
        self.hint = hint


@dataclass(slots=True)
class AgentFile:
    """What a file says of its agent.

    Shape: `front` is the front matter, `lines` the lines of its places (`$.name`), `body` the
    text below it, which begins on `body_line`.
    """

    front: dict[str, Any]
    lines: dict[str, int]
    body: str
    body_line: int

    def agent(
        self, stem: str, fields: Collection[str] | None
    ) -> tuple[dict[str, Any], dict[str, int], list[Problem]]:
        """Return the agent as a document has it, the lines of its places, and the problems.

        Shape: *stem* is the name of the file, *fields* what the agent's kind knows beside
        what every agent may have (None: there is no such kind). Places begin at `$`.
        """
        made = _Made(self.front, self.lines)
        if fields is not None and "schema" in fields:
            made.keep("schema")
        made.take_out("limits", _GROUPED["limits"], {})
        made.take_out_schema()
        known = COMMON_FIELDS | frozenset(fields or ())
        made.sort_out(known, knows_all=fields is not None)
        made.instruct(self.body, self.body_line)
        made.settings.setdefault("name", stem)
        return made.settings, made.lines, made.found


def read_agent_file(text: str) -> AgentFile:
    r"""Read the text of an agent's file, with `\n` for line ends.

    Raises: AgentFileRefused.
    """
    opened = _FENCE.match(text)
    if opened is None:
        hint = "begin it with a line ---, and the agent's fields below"
        raise AgentFileRefused("expected front matter between two lines '---', got none", 1, hint)
    start = opened.end()
    closed = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE).search(text, start)
    if closed is None:
        raise AgentFileRefused("expected a second line '---', got the end of the file", 1)
    front = text[start : closed.start()]
    if len(front) > _FRONT:
        said = f"expected at most {_FRONT} characters of front matter, got {len(front)}"
        raise AgentFileRefused(said, 1, "long texts go below it")
    value, lines = _front(front)
    body = text[closed.end() :]
    skipped = len(body) - len(body.lstrip("\n"))
    body_line = text.count("\n", 0, closed.end()) + 1 + skipped
    return AgentFile(value, lines, body.strip(), body_line)


def _front(front: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Read front matter, which begins on the second line of its file."""
    if not front.strip():
        return {}, {"$": 1}
    # Most blueprints name no such file: what reads YAML is loaded with the first.
    from swarm.blueprint.yaml_tree import YamlRefused, read_tree

    try:
        tree = read_tree(front, depth=_DEPTH)
    except YamlRefused as e:
        raise AgentFileRefused(e.why, (e.line or 0) + 1, e.hint) from None
    lines = {at: line + 1 for at, line in tree.lines.items()}
    try:
        value = admit(tree.value, limits=DEFAULT_LIMITS)
    except FlowError as e:
        known = nearest(lines, e.at)
        line = 1 if known is None else lines[known]
        raise AgentFileRefused(e.message, line) from None
    if not is_object(value):
        said = f"expected the agent's fields by name, got {shorten(value)}"
        raise AgentFileRefused(said, lines["$"])
    return value, lines


class _Made:
    """An agent's settings, being sorted out of its front matter."""

    def __init__(self, front: Mapping[str, Any], lines: Mapping[str, int]) -> None:
        self.settings: dict[str, Any] = {}
        self.lines: dict[str, int] = {"$": 1}
        self.found: list[Problem] = []
        self._left = dict(front)
        self._from = lines

    def keep(self, name: str) -> None:
        """Take a field as it is."""
        if name in self._left:
            self._set(name, self._left.pop(name), inside("$", name))

    def take_out(self, group: str, members: Collection[str], renamed: Mapping[str, str]) -> None:
        """Take the members of a group as if they stood outside of it."""
        if group not in self._left:
            return
        at, held = inside("$", group), self._left.pop(group)
        if not is_object(held):
            self._tell(at, f"expected an object, got {shorten(held)}")
            return
        for name, value in held.items():
            place = inside(at, name)
            if name not in members:
                sentence = f"expected one of the agent's {group}, got {name!r}"
                self._tell(place, sentence, suggest(name, members))
                continue
            self._take(renamed.get(name, name), value, place)

    def _take(self, name: str, value: Any, from_: str) -> None:
        if name in self._left or name in self.settings:
            self._tell(from_, f"expected {name!r} once, got it again")
        else:
            self._set(name, value, from_)

    def take_out_schema(self) -> None:
        """Take `schema` as that of the answer, or of both where it names both."""
        held = self._left.get("schema")
        if is_object(held) and held and held.keys() <= _SCHEMAS.keys():
            self.take_out("schema", tuple(_SCHEMAS), _SCHEMAS)
        elif held is not None:
            self._take(_SCHEMAS["output"], self._left.pop("schema"), inside("$", "schema"))

    def sort_out(self, known: Collection[str], *, knows_all: bool) -> None:
        """Keep what is known as it is, and the rest under `extra`."""
        extra = self._left.pop("extra", {})
        for name, value in self._left.items():
            at = inside("$", name)
            if name in known or not knows_all:
                self._set(name, value, at)
                continue
            meant = _meant(name, known)
            if meant is not None:
                sentence = f"expected a field of an agent, got {name!r}"
                hint = f"did you mean {meant!r}? what is meant as it is goes under 'extra'"
                self._tell(at, sentence, hint)
            elif is_object(extra):
                extra = {name: value, **extra}
        if extra != {}:
            self._set("extra", extra, inside("$", "extra"))

    def instruct(self, body: str, line: int) -> None:
        """Take the body as the agent's instructions."""
        if not body:
            return
        if "instructions" in self.settings:
            sentence = "expected the instructions once, got them below the front matter too"
            self._tell(inside("$", "instructions"), sentence)
            return
        self.settings["instructions"] = body
        self.lines[inside("$", "instructions")] = line

    def _set(self, name: str, value: Any, from_: str) -> None:
        self.settings[name] = value
        to = inside("$", name)
        for at, line in self._from.items():
            if at == from_ or at.startswith((from_ + ".", from_ + "[")):
                self.lines[to + at[len(from_) :]] = line

    def _tell(self, at: str, sentence: str, hint: str | None = None) -> None:
        self.found.append(Problem(_CODE, at, sentence, hint))
        known = nearest(self._from, at)
        self.lines[at] = 1 if known is None else self._from[known]


# What is often written for a field that has another name.
_OTHER_WORDS = {"input": "input_schema", "output": "output_schema", "prompt": "instructions"}


def _meant(name: str, known: Collection[str]) -> str | None:
    word = name.lower().replace("-", "_")
    near: Iterator[str] = iter(get_close_matches(word[:64], list(known), 1, 0.75))
    return _OTHER_WORDS.get(word) or next(near, None)
