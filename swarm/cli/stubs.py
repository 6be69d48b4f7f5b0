"""Editor stubs of what authors `require`, made from the documentation in its source.

Every public function of `lua_stdlib` has a block of comments that says what it is given and
returns; a language server reads the same in a form of its own (`---@meta`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from importlib.resources import files

from flowir.records import dataclass

__all__ = ("MODULES", "Documented", "functions_of", "stub_of")

# What authors require: the module's name, and its file in `lua_stdlib`.
MODULES = {"flow": "flow.lua", "flow.test": "flow/test.lua"}
_TYPES = {"string": "string", "number": "number", "table": "table", "function": "function"}
_TAG = re.compile(r"@(tparam|param|treturn|return|function)(\[opt\])?\s+(.*)")


@dataclass(slots=True)
class Documented:
    """What a module offers under one name, as the comments before it tell.

    Shape: parameters are name (with `?` where it may be left out), type, and what it is;
    usage as lines of Lua.
    """

    name: str = ""
    text: list[str] = field(default_factory=list[str])
    parameters: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    returns: str | None = None
    usage: list[str] = field(default_factory=list[str])

    @property
    def is_function(self) -> bool:
        """Whether it is called."""
        return self.returns is not None or bool(self.parameters)


def functions_of(module: str) -> tuple[Documented, ...]:
    """Return what a module of `MODULES` offers, in the order of its source."""
    source = files("lua_stdlib").joinpath(MODULES[module]).read_text("utf-8")
    return tuple(_blocks(source, module.rpartition(".")[2]))


def stub_of(module: str) -> str:
    """Return the stub of a module of `MODULES`."""
    local = module.rpartition(".")[2]
    lines = [f"---@meta {module}", "", "---@class swarm." + module, f"local {local} = {{}}", ""]
    for block in functions_of(module):
        lines += [f"--- {line}".rstrip() for line in block.text]
        lines += [
            f"---@param {name} {kind} {said}".rstrip() for name, kind, said in block.parameters
        ]
        if not block.is_function:
            lines += ["---@type any", f"{block.name} = nil", ""]
            continue
        names = ", ".join(name.removesuffix("?") for name, _, _ in block.parameters)
        lines += [f"---@return {block.returns or 'any'}", f"function {block.name}({names}) end", ""]
    return "\n".join([*lines, f"return {local}", ""])


def _blocks(source: str, local: str) -> Iterator[Documented]:
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


def _read(told: list[str]) -> Documented:
    block, tag = Documented(), ""
    for line in told:
        found = _TAG.match(line)
        if found is not None:
            tag = found[1]
            _tagged(block, tag, bool(found[2]), found[3])
        elif line.startswith("@"):
            tag, _, rest = line.partition(" ")
            if tag == "@usage" and rest:
                block.usage.append(rest)
        elif not tag:
            block.text.append(line)
        elif tag == "@usage":
            block.usage.append(line)
        elif tag in ("tparam", "param"):
            name, kind, said = block.parameters[-1]
            block.parameters[-1] = (name, kind, f"{said} {line}")
    return block


def _tagged(block: Documented, tag: str, optional: bool, rest: str) -> None:
    if tag in ("tparam", "param"):
        kind, rest = _type(rest) if tag == "tparam" else ("any", rest)
        name, _, said = rest.partition(" ")
        block.parameters.append((name + ("?" if optional else ""), kind, said))
    elif tag == "treturn":
        block.returns = _type(rest)[0]


def _type(text: str) -> tuple[str, str]:
    """Read a type; return it as language servers write it, and what follows."""
    listed = re.match(r"\{(\w+),\.\.\.\}\s*(.*)", text)
    if listed is not None:
        return f"{_TYPES.get(listed[1], 'any')}[]", listed[2]
    word, _, rest = text.partition(" ")
    return _TYPES.get(word, "any"), rest
