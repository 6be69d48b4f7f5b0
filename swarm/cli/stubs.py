"""Editor stubs of what authors `require`, made from the documentation in its source.

Every public function of `lua_stdlib` has a block of comments that says what it is given and
returns; a language server reads the same in a form of its own (`---@meta`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files

__all__ = ("MODULES", "stub_of")

# What authors require: the module's name, and its file in `lua_stdlib`.
MODULES = {"flow": "flow.lua", "flow.test": "flow/test.lua"}
_TYPES = {"string": "string", "number": "number", "table": "table", "function": "function"}
_TAG = re.compile(r"@(tparam|param|treturn|return|function)(\[opt\])?\s+(.*)")


@dataclass(slots=True)
class _Block:
    """One block of comments, read."""

    text: list[str] = field(default_factory=list[str])
    parameters: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    returns: str | None = None
    name: str | None = None


def stub_of(module: str) -> str:
    """Return the stub of a module of `MODULES`."""
    source = files("lua_stdlib").joinpath(MODULES[module]).read_text("utf-8")
    local = module.rpartition(".")[2]
    lines = [f"---@meta {module}", "", "---@class swarm." + module, f"local {local} = {{}}", ""]
    for block in _blocks(source, local):
        lines += [f"--- {line}".rstrip() for line in block.text]
        lines += [
            f"---@param {name} {kind} {said}".rstrip() for name, kind, said in block.parameters
        ]
        if block.returns is None and not block.parameters:
            lines += ["---@type any", f"{block.name} = nil", ""]
            continue
        names = ", ".join(name.removesuffix("?") for name, _, _ in block.parameters)
        lines += [f"---@return {block.returns or 'any'}", f"function {block.name}({names}) end", ""]
    return "\n".join([*lines, f"return {local}", ""])


def _blocks(source: str, local: str) -> Iterator[_Block]:
    """Yield the blocks that stand before what the module offers."""
    lines = source.split("\n")
    i = 0
    while i < len(lines):
        if not lines[i].startswith("--- "):
            i += 1
            continue
        told = [lines[i].removeprefix("--- ")]
        i += 1
        while i < len(lines) and lines[i].startswith("--"):
            told.append(lines[i].removeprefix("--").removeprefix(" "))
            i += 1
        block = _read(told)
        meant = re.match(rf"(?:function )?({local}\.\w+)", lines[i] if i < len(lines) else "")
        if meant is not None:
            block.name = meant[1]
            yield block


def _read(told: list[str]) -> _Block:
    block, tag = _Block(), ""
    for line in told:
        found = _TAG.match(line)
        if found is None:
            if line.startswith("@"):
                tag = line
            elif not tag:
                block.text.append(line)
            continue
        tag, optional, rest = found[1], bool(found[2]), found[3]
        if tag in ("tparam", "param"):
            kind, rest = _type(rest) if tag == "tparam" else ("any", rest)
            name, _, said = rest.partition(" ")
            block.parameters.append((name + ("?" if optional else ""), kind, said))
        elif tag == "treturn":
            block.returns = _type(rest)[0]
    return block


def _type(text: str) -> tuple[str, str]:
    """Read a type; return it as language servers write it, and what follows."""
    listed = re.match(r"\{(\w+),\.\.\.\}\s*(.*)", text)
    if listed is not None:
        return f"{_TYPES.get(listed[1], 'any')}[]", listed[2]
    word, _, rest = text.partition(" ")
    return _TYPES.get(word, "any"), rest
