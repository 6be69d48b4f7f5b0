"""Documents changed by RFC 6902 patches, and the patch between two of them.

The only module that knows `jsonpatch`. The library follows the RFC where it is generous;
here a patch that a stranger wrote is held to its letter, and to a size after every step:
twenty-four copies of a member double a document twenty-four times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jsonpatch
import jsonpointer

from flowir.door import admit, admit_measured
from flowir.errors import FlowError, shorten
from flowir.values import private_copy, same
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.document import DOCUMENT_LIMITS
from swarm.blueprint.shapes import is_array, is_object
from swarm.errors import Refused

__all__ = ("MAX_OPS", "applied", "difference")

MAX_OPS: Final = 64
_MAX_PATCH: Final = 64 * 1024
_POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "add": frozenset({"op", "path", "value"}),
    "replace": frozenset({"op", "path", "value"}),
    "test": frozenset({"op", "path", "value"}),
    "remove": frozenset({"op", "path"}),
    "move": frozenset({"op", "path", "from"}),
    "copy": frozenset({"op", "path", "from"}),
}


def difference(old: Any, new: Any) -> list[dict[str, Any]]:
    """Return the operations that make *new* of *old*.

    >>> difference({"a": 1}, {"a": 2})
    [{'op': 'replace', 'path': '/a', 'value': 2}]
    """
    return list(jsonpatch.JsonPatch.from_diff(old, new).patch)


def applied(document: Any, operations: Any) -> Any:
    """Return a copy of *document* with all operations carried out, or none.

    Raises: Refused (patch.malformed, patch.failed, patch.too_large, patch.noop), with the
    number of the operation, from 0, as `values["op"]`.
    """
    checked = _checked(operations)
    changed = private_copy(document)
    for number, operation in enumerate(checked):
        _check_places(changed, operation, number)
        if operation["op"] == "test":
            _test(changed, operation, number)
            continue
        try:
            changed = jsonpatch.apply_patch(changed, [operation], in_place=True)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise _failed(number, operation, str(error) or type(error).__name__) from None
        try:
            changed = admit(changed, limits=DOCUMENT_LIMITS)
        except FlowError as error:
            raise Refused("patch.too_large", f"patch[{number}]: {error}", op=number) from None
    if canonical_bytes(changed) == canonical_bytes(document):
        raise Refused("patch.noop", "patch: expected a change, got none")
    return changed


def _checked(operations: Any) -> Sequence[Mapping[str, Any]]:
    if not is_array(operations) or not operations:
        raise _malformed(None, f"expected a list of operations, got {shorten(operations)}")
    if len(operations) > MAX_OPS:
        raise _malformed(None, f"expected at most {MAX_OPS} operations, got {len(operations)}")
    try:
        size = admit_measured(operations, limits=DOCUMENT_LIMITS)[1]
    except FlowError as error:
        raise _malformed(None, str(error)) from None
    if size > _MAX_PATCH:
        raise _malformed(None, f"expected a patch of at most {_MAX_PATCH} bytes, got {size}")
    for number, operation in enumerate(operations):
        _check(operation, number)
    return operations


def _check(operation: Any, number: int) -> None:
    op = operation.get("op") if is_object(operation) else None
    if not isinstance(op, str) or op not in _MEMBERS:
        known = ", ".join(_MEMBERS)
        raise _malformed(number, f"expected an op of {known}, got {shorten(op)}")
    if operation.keys() != _MEMBERS[op]:
        names = ", ".join(sorted(_MEMBERS[op]))
        raise _malformed(number, f"expected the members {names}, got {shorten(sorted(operation))}")
    for name in ("path", "from"):
        pointer = operation.get(name, "/")
        if not isinstance(pointer, str) or not _POINTER.fullmatch(pointer):
            raise _malformed(number, f"expected a pointer such as '/flow', got {shorten(pointer)}")
        if pointer == "":
            raise _malformed(number, f"expected a {name} below the document, got all of it")
    source, target = operation.get("from"), operation["path"]
    if source is not None and f"{target}/".startswith(f"{source}/") and source != target:
        raise _malformed(number, f"expected a place outside of {source!r}, got {target!r}")
    if source is not None and f"{source}/".startswith(f"{target}/") and source != target:
        raise _malformed(number, f"expected a place that does not hold {source!r}, got {target!r}")


def _check_places(document: Any, operation: Mapping[str, Any], number: int) -> None:
    """Refuse what the library takes for an index, and a place that is not there."""
    _walk(document, operation["path"], number, operation, may_append=operation["op"] in _NEW)
    if "from" in operation:
        _walk(document, operation["from"], number, operation, may_append=False)


_NEW: Final = frozenset({"add", "move", "copy"})


def _test(document: Any, operation: Mapping[str, Any], number: int) -> None:
    """Compare as the language does: for the library, true is 1."""
    found = jsonpointer.resolve_pointer(document, operation["path"])
    if not same(found, operation["value"]):
        expected = f"{shorten(operation['value'])} there, found {shorten(found)}"
        raise _failed(number, operation, f"expected {expected}")


def _walk(
    document: Any, pointer: str, number: int, operation: Mapping[str, Any], *, may_append: bool
) -> None:
    here = document
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for depth, part in enumerate(parts):
        is_last = depth == len(parts) - 1
        if is_array(here):
            if is_last and may_append and (part == "-" or part == str(len(here))):
                return
            if not _INDEX.fullmatch(part) or int(part) >= len(here):
                raise _failed(number, operation, f"no item {part!r}")
            here = here[int(part)]
        elif is_object(here):
            if is_last and may_append:
                return
            if part not in here:
                raise _failed(number, operation, f"no member {part!r}")
            here = here[part]
        else:
            raise _failed(number, operation, f"nothing can be below {shorten(here)}")


def _malformed(number: int | None, sentence: str) -> Refused:
    place = "patch" if number is None else f"patch[{number}]"
    return Refused("patch.malformed", f"{place}: {sentence}", op=number)


def _failed(number: int, operation: Mapping[str, Any], why: str) -> Refused:
    place = f"patch[{number}]: {operation['op']} {operation['path']!r}"
    return Refused("patch.failed", f"{place}: expected to be carried out, got: {why}", op=number)
