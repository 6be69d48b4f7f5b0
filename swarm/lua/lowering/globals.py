"""The global names of Lua, as a flow function sees them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ("ABSENT", "LIBRARY_TABLES", "NO_PARAMETER", "PURE", "is_global")

LIBRARY_TABLES = frozenset({"string", "math", "table", "utf8"})

# Functions that a flow function may call by name alone.
_FUNCTIONS = frozenset(
    [
        "array",
        "assert",
        "copy",
        "error",
        "ipairs",
        "limit",
        "next",
        "null",
        "pairs",
        "parallel",
        "pcall",
        "tonumber",
        "tostring",
        "type",
    ]
)

# What to write where a flow function says ctx and has no parameter of that name.
NO_PARAMETER = "the context is the parameter: function(ctx) … end"

# What scripts may use and flows may not, each with the reason.
ABSENT: Mapping[str, str] = {
    "_ENV": "a flow has no environments",
    "_G": "a flow has no table of globals: keep it in ctx",
    "_VERSION": "the flow is not run by Lua",
    "collectgarbage": "memory is looked after",
    "coroutine": "the machine schedules; use parallel for work side by side",
    "debug": "a flow has no debug library",
    "dofile": "all code of a flow is in its script",
    "getmetatable": "tables of a flow are plain values",
    "io": "a flow reaches no files: let an agent do it",
    "load": "all code of a flow is in its script",
    "loadfile": "all code of a flow is in its script",
    "loadstring": "all code of a flow is in its script",
    "os": "a flow has no clock and no system: let an agent do it, or hand it in as input",
    "package": "modules are required outside the function",
    "print": "a flow has no output: let an agent do it",
    "rawequal": "tables of a flow are values, without identity",
    "rawget": "tables of a flow have no metatables: index it",
    "rawlen": "tables of a flow have no metatables: use #",
    "rawset": "tables of a flow have no metatables: assign",
    "require": "modules are required outside the function, at the top of the script",
    "select": "a call gives one value here",
    "setmetatable": "tables of a flow are plain values",
    "unpack": "a call takes its arguments one by one",
    "warn": "a flow has no output: let an agent do it",
    "xpcall": "use pcall",
}

# What a function that only computes may use of Lua's library.
PURE = frozenset(
    [
        "array",
        "assert",
        "error",
        "ipairs",
        "math",
        "next",
        "null",
        "pairs",
        "pcall",
        "rawequal",
        "rawget",
        "rawlen",
        "select",
        "string",
        "table",
        "tonumber",
        "tostring",
        "type",
        "utf8",
    ]
)


def is_global(name: str) -> bool:
    """Tell whether a flow function may call *name* without declaring it."""
    return name in _FUNCTIONS or name in LIBRARY_TABLES
