"""What a failed script tells, as the errors of the host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flowir.errors import WorkerFailure
from flowir.syntax import one_newline
from swarm.errors import Place, ScriptFailed
from swarm.ports.scripts import Script, ScriptLimits

__all__ = (
    "crash_failure",
    "deadline_failure",
    "failure_of",
    "refused_source",
    "syntax_failure",
    "unavailable_failure",
)

# LUA_IDSIZE of Lua 5.4: longer chunk names appear cut at the front in its messages.
_SHOWN = 59
# As many frames as the sandbox tells: more than that is a stack nobody meant to build.
_DEEP = 40
_GLOBAL = re.compile(r"\(global '(\w+)'\)")
_ABSENT = {
    "collectgarbage": "memory is looked after",
    "debug": "scripts have no debug library",
    "dofile": "use require in blueprint scripts",
    "flow": 'a blueprint script begins with local flow = require "flow"',
    "io": "scripts reach no files: let an agent of kind 'process' do it",
    "load": "scripts run no code made at run time",
    "loadfile": "use require in blueprint scripts",
    "loadstring": "scripts run no code made at run time",
    "os": "scripts have no clock and no environment: hand it in as input",
    "package": "scripts load no libraries",
    "print": "use swarm.progress(text) in a worker",
    "require": "only blueprint scripts may require",
}


def failure_of(
    told: Mapping[str, Any], script: Script, limits: ScriptLimits, chunks: Iterable[str]
) -> ScriptFailed | WorkerFailure:
    """Build the error of a script that failed.

    Shape: *told* as the sandbox tells it; *chunks* are the names of the sources that ran.
    """
    if told["kind"] == "raised":
        value = told["value"]
        return WorkerFailure(
            value["code"], told["message"], value.get("permanent") is True, value.get("data")
        )
    code, message = _CODES[told["kind"]], told["message"]
    if told["kind"] in _LIMITS:
        message = _LIMITS[told["kind"]].format(limits=limits)
    if told["kind"] == "memory" and len(told["frames"]) >= _DEEP:
        message += " — recursion without end?"
    frames = tuple((Place(f["file"], f["line"]), f["name"]) for f in told["frames"])
    where, message = _placed(message, [script.name, *chunks])
    if where is None:
        where = frames[0][0] if frames else Place(script.name)
    return ScriptFailed(code, _hinted(message), where=where, frames=frames, value=told.get("value"))


_CODES = {
    "error": "script.error",
    "instructions": "script.budget",
    "memory": "script.memory",
    "result": "script.result",
    "seconds": "script.budget",
}
_LIMITS = {
    "instructions": "stopped after {limits.instructions} instructions",
    "memory": "needs more than {limits.memory_bytes} bytes of memory",
    "seconds": "stopped after {limits.seconds} s of processor time",
}


def syntax_failure(message: str, script: Script) -> ScriptFailed:
    """Build the error of a source that cannot be compiled."""
    where, message = _placed(message, [script.name])
    if where is not None and where.line is not None:
        if _CONTINUED.search(message) and _continues(script.source, where.line):
            hint = "Lua has no continue: choose with if, or goto a label at the loop's end"
            return ScriptFailed("script.syntax", f"{message} — {hint}", where=where)
        message = _sharpened(message, _line(script.source, where.line))
    return ScriptFailed("script.syntax", message, where=where or Place(script.name))


def deadline_failure(script: Script, limits: ScriptLimits) -> ScriptFailed:
    """Build the error of a script whose process was ended because it did not come back."""
    message = f"its process was ended after {limits.seconds} s"
    return ScriptFailed("script.deadline", message, where=Place(script.name))


def crash_failure(script: Script, how: str) -> ScriptFailed:
    """Build the error of a script whose process ended, or said what no script says."""
    return ScriptFailed("script.crashed", f"its process {how}", where=Place(script.name))


def unavailable_failure(script: Script, why: str) -> ScriptFailed:
    """Build the error of a script for which there is no process."""
    message = f"no process to run it in: {why} — `swarm doctor` tells more"
    return ScriptFailed("script.unavailable", message, where=Place(script.name))


def refused_source(script: Script, max_bytes: int) -> ScriptFailed | None:
    """Return why a source is not even read: too long."""
    if (
        len(script.source) <= max_bytes
        and len(script.source.encode("utf-8", "replace")) <= max_bytes
    ):
        return None
    message = f"expected at most {max_bytes} bytes of source, got more"
    return ScriptFailed("script.syntax", message, where=Place(script.name))


# What people write who know another language, by what Lua stumbles over.
_SLIPS = (
    ("!", "!=", "'not equal' is written ~="),
    ("!", "!", "negation is written not"),
    ("&", "&&", "'both' is written and"),
    ("|", "||", "'either' is written or"),
    ("+", "+=", "write x = x + 1"),
    ("+", "++", "write x = x + 1"),
    ("-", "-=", "write x = x - 1"),
    ("//", "//", "a comment begins with --"),
    ("?", "?", "one of two values is chosen with if, or by c and a or b"),
)
_STRANGE = re.compile(r"'<\\(\d+)>'")
_NEAR = re.compile(r"near '([^']*)'")
_QUOTES = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u00ab\u00bb"


def _line(source: str, line: int) -> str:
    lines = one_newline(source).split("\n")
    return lines[line - 1] if line <= len(lines) else ""


# A word that stands alone is met at what follows it, on its line or the next.
_CONTINUED = re.compile(r"syntax error near '(?:end|else|elseif|until)'")
_CONTINUE = re.compile(r"(?:^|\s)continue;?(?:\s|$)")


def _continues(source: str, line: int) -> bool:
    """Tell whether a statement of another language stands there, or on the line above."""
    near = _line(source, line), _line(source, line - 1) if line > 1 else ""
    return any(_CONTINUE.search(text) for text in near)


def _sharpened(message: str, line: str) -> str:
    """Say what Lua's compiler means, where its author knows another language.

    Lua takes text for bytes, and names the first byte of a letter that it does not know.
    """
    if strange := _STRANGE.search(message):
        letter = next((c for c in line if c.encode()[0] == int(strange[1])), None)
        if letter is None:
            return message
        shown = repr(letter) if letter.isprintable() else f"U+{ord(letter):04X}"
        hint = _of_letter(letter)
        return f"{message[: strange.start()]}{shown}{message[strange.end() :]} — {hint}"
    if message.endswith("expected near '='"):
        return f"{message} — 'equal' is written =="
    near = _NEAR.search(message)
    for token, written, hint in _SLIPS if near else ():
        if near and near[1] == token and written in line:
            return f"{message} — {hint}"
    return message


def _of_letter(letter: str) -> str:
    if letter in _QUOTES:
        return 'a text stands between " and "'
    if letter.isalpha():
        return 'names have A-Z, a-z, 0-9 and _; any other key is written ctx["…"]'
    return "outside of texts Lua is written in ASCII"


def _placed(message: str, chunks: Iterable[str]) -> tuple[Place | None, str]:
    """Split `file:line: sentence`, where file is one of *chunks*."""
    for chunk in chunks:
        for shown in (chunk, _shortened(chunk)):
            found = re.match(re.escape(shown) + r":(\d+): ", message)
            if found:
                return Place(chunk, int(found[1])), message[found.end() :]
    return None, message


def _shortened(chunk: str) -> str:
    data = chunk.encode()
    return chunk if len(data) <= _SHOWN else "..." + data[-(_SHOWN - 3) :].decode(errors="replace")


def _hinted(message: str) -> str:
    found = _GLOBAL.search(message)
    hint = _ABSENT.get(found[1]) if found else None
    return f"{message} — {hint}" if hint else message
