"""A YAML text as a tree of JSON values, with the line of each.

Only what JSON can say is read, by YAML 1.2's JSON schema: plain scalars are null, true,
false and JSON's numbers, everything else is a string (`no`, `014`, `12:30:45`, `~`).
Aliases, anchors, tags, merge keys, duplicate keys, keys that are not strings and second
documents are refused. Built on the parser's events, so that nothing is constructed
before it is judged.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

from flowir.door import parse_json
from flowir.errors import Malformed, shorten
from flowir.records import dataclass
from swarm.blueprint.places import inside

__all__ = ("YamlRefused", "YamlTree", "read_tree")

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS = {"null": None, "true": True, "false": False}


class YamlRefused(Exception):
    """What is wrong with the text, on which line (from one), and what to write."""

    def __init__(self, why: str, line: int | None, hint: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True)
class YamlTree:
    """The value, and the line of every place in it (of its key, where it has one)."""

    value: Any
    lines: dict[str, int]


def read_tree(text: str, *, depth: int) -> YamlTree:
    """Read one document of at most *depth* nested levels.

    Raises: YamlRefused.
    """
    builder = _Builder(depth)
    # ruamel.yaml annotates its public names in part.
    parser: Any = YAML(typ="safe", pure=True)
    parser.Scanner, parser.levels = _Scanner, depth
    try:
        for event in parser.parse(text):
            builder.take(event)
    except YAMLError as e:
        raise _unreadable(text, e) if isinstance(e, ReaderError) else _not_yaml(e) from None
    if not builder.started:
        raise YamlRefused("expected a document, got an empty file", None)
    return YamlTree(builder.value, builder.lines)


class _Scanner(Scanner):
    """Refuses brackets that are nested too deep before they are parsed.

    The scanner reads up to 1,024 of them ahead, and each makes all tokens within dearer.
    """

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803
        """Open a bracket."""
        scanner: Any = self
        if len(scanner.flow_context) >= scanner.loader.levels:
            raise _too_deep(scanner.loader.levels, scanner.reader.line + 1)
        super().fetch_flow_collection_start(TokenClass, to_push)


def _too_deep(depth: int, line: int) -> YamlRefused:
    return YamlRefused(f"expected at most {depth} levels, got more", line)


def _unreadable(text: str, error: Any) -> YamlRefused:
    """Name the line of a character that no YAML may have."""
    line = text.count("\n", 0, error.position) + 1
    return YamlRefused(
        f"expected YAML: expected text, got the character U+{ord(text[error.position]):04X}", line
    )


def _not_yaml(error: Any) -> YamlRefused:
    """Say what the parser says, in one line."""
    mark, said = None, str(error)
    if isinstance(error, MarkedYAMLError):
        marked: Any = error
        mark, said = marked.problem_mark or marked.context_mark, marked.problem or marked.context
    why = f"expected YAML: {' '.join(str(said).split())}"
    return YamlRefused(why, None if mark is None else mark.line + 1)


@dataclass(slots=True)
class _Open:
    """A container being read; `key` is the key that waits for its value."""

    at: str
    made: Any
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Takes events one by one and builds the value."""

    depth: int
    value: Any = None
    started: bool = False
    lines: dict[str, int] = field(default_factory=dict[str, int])
    stack: list[_Open] = field(default_factory=list[_Open])

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, DocumentStartEvent):
            if self.started:
                raise YamlRefused("expected one document, got a second one", line)
            self.started = True
        elif isinstance(event, NodeEvent):
            self._refuse_extras(event, line)
            self._node(event, line)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self.stack.pop()

    def _refuse_extras(self, event: Any, line: int) -> None:
        if isinstance(event, AliasEvent):
            alias = f"*{cast('Any', event).anchor}"
            hint = "write the value out"
            raise YamlRefused(f"expected a value, got the alias {alias}", line, hint)
        if event.anchor is not None:
            raise YamlRefused(f"expected no anchor, got &{event.anchor}", line, "remove it")
        if event.tag is not None:
            raise YamlRefused(f"expected no tag, got {shorten(str(event.tag))}", line, "remove it")

    def _node(self, event: Any, line: int) -> None:
        here = self.stack[-1] if self.stack else None
        if here is not None and type(here.made) is dict and here.key is None:
            self._key(here, event, line)
            return
        at = self._place(here, line)
        # Nothing at all is said to stand where the next token does: blame its key.
        value = _scalar(event, self.lines[at]) if isinstance(event, ScalarEvent) else None
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            value = self._open(at, {} if isinstance(event, MappingStartEvent) else [], line)
        self._put(here, value)

    def _key(self, here: _Open, event: Any, line: int) -> None:
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            raise YamlRefused("expected a string as key, got a collection", line)
        key = _scalar(event, line)
        if type(key) is not str:
            hint = f"write '{event.value}' in quotes"
            raise YamlRefused(f"expected a string as key, got {shorten(key)}", line, hint)
        if key == "<<" and event.implicit[0]:
            raise YamlRefused("expected no merge key, got <<", line, "write the members out")
        if key in here.made:
            raise YamlRefused(f"expected each key once, got {shorten(key)} twice", line)
        here.key = key
        self.lines[inside(here.at, key)] = line

    def _place(self, here: _Open | None, line: int) -> str:
        if here is None:
            at = "$"
        else:
            at = inside(here.at, len(here.made) if here.key is None else here.key)
        self.lines.setdefault(at, line)
        return at

    def _open(self, at: str, made: Any, line: int) -> Any:
        if len(self.stack) >= self.depth:
            raise _too_deep(self.depth, line)
        self.stack.append(_Open(at, made))
        return made

    def _put(self, here: _Open | None, value: Any) -> None:
        if here is None:
            self.value = value
        elif here.key is None:
            here.made.append(value)
        else:
            here.made[here.key] = value
            here.key = None


def _scalar(event: Any, line: int) -> Any:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if not text:
        raise YamlRefused("expected a value, got nothing", line, "write null or ''")
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    try:
        return parse_json(text)
    except Malformed as e:
        raise YamlRefused(e.problems[0].message, line) from None
