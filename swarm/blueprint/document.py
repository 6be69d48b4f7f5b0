"""JSON and YAML documents: text in, a value and its lines out.

Reads strictly and knows no field of a blueprint: `swarm.blueprint.model` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowir.door import admit, parse_json
from flowir.errors import FlowError, Malformed
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from swarm.blueprint.json_lines import line_of_fault, lines_of
from swarm.blueprint.places import nearest
from swarm.errors import BlueprintInvalid, Place, Problem

__all__ = ("DOCUMENT_LIMITS", "YAML_BYTES", "Written", "admit_document", "read_json", "read_yaml")

# 128 nodes below each other, each in the list of another, take 256 levels of JSON; the
# rest is for expressions. The door takes two Python frames a level, of a thousand.
# Size is measured as the door does, which counts up to five for a byte of text.
DOCUMENT_LIMITS = replace(
    DEFAULT_LIMITS,
    value_depth=320,
    value_size=5 * DEFAULT_LIMITS.document_bytes,
    containers=DEFAULT_LIMITS.document_containers,
)

# A pure Python YAML parser reads about 100 KB a second.
YAML_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """A document as a value, and the lines of its places where it came from a text."""

    document: Any
    places: Mapping[str, Place]


def read_json(text: str, *, file: str = "<document>") -> Written:
    """Read a JSON document; *file* is what problems show.

    Raises: BlueprintInvalid (document.json), on the line of the mistake.
    """
    try:
        limit = DEFAULT_LIMITS.document_bytes
        value = parse_json(text, limits=DOCUMENT_LIMITS, max_bytes=limit)
    except FlowError as e:
        whole = e.at in ("", "$")
        line = line_of_fault(text, e.message) if whole else _line_at(e.at, lines_of(text))
        raise _refused("document.json", e, Place(file, line)) from None
    return Written(value, _places(lines_of(text), file))


def read_yaml(text: str, *, file: str = "<document>") -> Written:
    """Read a YAML 1.2 document of plain data; *file* is what problems show.

    Raises: BlueprintInvalid (document.yaml), on the line of the mistake.
    """
    # Most documents are not YAML, and its library takes as long to import as click.
    from swarm.blueprint.yaml_tree import YamlRefused, read_tree

    if len(text) > YAML_BYTES:
        sentence = f"expected at most {YAML_BYTES} characters of YAML, got {len(text)}"
        problem = Problem("document.yaml", sentence, Place(file), hint="write it as JSON")
        raise BlueprintInvalid([problem])
    try:
        tree = read_tree(text, depth=DOCUMENT_LIMITS.value_depth)
    except YamlRefused as e:
        where = Place(file, e.line)
        raise BlueprintInvalid([Problem("document.yaml", e.why, where, hint=e.hint)]) from None
    try:
        value = admit(tree.value, limits=DOCUMENT_LIMITS)
    except FlowError as e:
        line = _line_at(e.at, tree.lines)
        raise _refused("document.yaml", e, Place(file, line)) from None
    return Written(value, _places(tree.lines, file))


def admit_document(value: Any, *, file: str = "<document>") -> Written:
    """Take a document that is a Python object already; nothing tells its lines.

    Raises: BlueprintInvalid (document.value).
    """
    try:
        return Written(admit(value, limits=DOCUMENT_LIMITS), {})
    except FlowError as e:
        raise _refused("document.value", e, Place(file)) from None


def _places(lines: Mapping[str, int], file: str) -> dict[str, Place]:
    return {at: Place(file, line) for at, line in lines.items()}


def _line_at(at: str, lines: Mapping[str, int]) -> int | None:
    known = nearest(lines, at)
    return None if known is None else lines[known]


def _refused(code: str, error: FlowError, where: Place) -> BlueprintInvalid:
    first = error.problems[0] if isinstance(error, Malformed) else None
    message = error.message if first is None else first.message
    sentence = message if error.at in ("", "$") else f"{error.at}: {message}"
    hint = None if first is None else first.hint
    return BlueprintInvalid([Problem(code, sentence, where, error.at, hint)])
