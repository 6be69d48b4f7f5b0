"""Both ways to match a pattern: by C, and here where C might take too long."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from swarm.lua import sandbox as sandboxes
from swarm.lua.convert import decode, encode
from swarm.lua.sandbox import Sandbox
from swarm.lua.wire import Task, worker_fields
from swarm.ports.scripts import Script, ScriptLimits

PAIRS = int(os.environ.get("SWARM_PATTERNS", "2500"))
AT_A_TIME = 250
LIMITS = ScriptLimits(instructions=10**9, seconds=120.0)

# What each of the four functions gives, told as a text.
ASK = r"""
local replacements = {
  "<%0>", "%1%%x", "%2", "%", "%x", 7,
  { a = "A", b = false, aa = 12, [1] = "one" },
  function(a, b) if a ~= "a" then return "[" .. tostring(a) .. tostring(b) .. "]" end end,
  function() return {} end,
}
local function told(...)
  local values = table.pack(...)
  for i = 1, values.n do values[i] = type(values[i]) .. ":" .. tostring(values[i]) end
  return table.concat(values, "|", 1, values.n)
end
local function every(...)
  local found = {}
  for a, b, c in string.gmatch(...) do
    found[#found + 1] = told(a, b, c)
    if #found > 200 then break end
  end
  return table.concat(found, ";")
end
local function without(value) if value ~= null then return value end end
local answers = array {}
for _, case in ipairs(input) do
  local s, p, init, most = case.s, case.p, without(case.init), without(case.most)
  local answer = {
    told(pcall(string.find, s, p, init)),
    told(pcall(string.match, s, p, init)),
    told(pcall(every, s, p, init)),
    told(pcall(string.gsub, s, p, replacements[case.replacement], most)),
  }
  local bytes = { table.concat(answer, "\n"):byte(1, -1) }
  for i, code in ipairs(bytes) do bytes[i] = code < 128 and string.char(code) or "\\" .. code end
  answers[#answers + 1] = table.concat(bytes)
end
return answers
"""

CLASSES = (
    *("a", "b", "c", ".", "%a", "%w", "%s", "%d", "%l", "%W", "%.", "%%", "\0", "-", "$", "^"),
    *(
        "[" + "ab" * 15 + "]",
        "[^" + "xb" * 15 + "]",
        "[%z" + "a-c" * 10 + "]",
        "[%W%w" + "z" * 25 + "]",
    ),
    *("[^\0-\xff" + "z" * 20 + "]", "[%]%-%^" + "a%%" * 9 + "]"),
    *("[ab]", "[^a]", "[a-c]", "[%a_]", "[]]", "[^]]", "[a-]", "[%s-]", "é", "[éa]"),
)
BALANCES = ("ab", "()", "aa", "x", "", "%a", "[]", "^b", "-c")
FRONTIERS = ("[a]", "[%w]", "[^a]", "a", "", "[a", "[^%a]", "[\0]")
WRONG = ("(", ")", "[", "%", "[^", "[a-", "[%", "*", "+", "?")


def part(chance: random.Random) -> str:
    drawn = chance.random()
    if drawn < 0.5:
        return chance.choice(CLASSES) + chance.choice(("", "", "*", "+", "-", "?"))
    if drawn < 0.65:
        return "(" + "".join(part(chance) for _ in range(chance.randrange(3))) + ")"
    if drawn < 0.7:
        return "()"
    if drawn < 0.74:
        return "%" + chance.choice("0123")
    if drawn < 0.78:
        return "%b" + chance.choice(BALANCES)
    if drawn < 0.82:
        return "%f" + chance.choice(FRONTIERS)
    return chance.choice(WRONG) if drawn < 0.84 else chance.choice("abc")


def case(chance: random.Random) -> dict[str, Any]:
    pattern = "".join(part(chance) for _ in range(chance.randrange(1, 6)))
    before, after = chance.choice(("", "", "", "^")), chance.choice(("", "", "", "$"))
    letters = (chance.choice("aaabbbcc .x1(a)b[%]\n\0-é_") for _ in range(chance.randrange(25)))
    return {
        "s": "".join(letters),
        "p": before + pattern + after,
        "init": chance.choice((None, None, 1, 2, 0, -1, -3, 5, 30, -50)),
        "most": chance.choice((None, None, 0, 1, 2, -1)),
        "replacement": chance.randrange(1, 10),
    }


def answers(sandbox: Sandbox, cases: Sequence[dict[str, Any]]) -> list[str]:
    task = Task(encode(list(cases)), encode({}), (), 1)
    assert sandbox.worker(*worker_fields(Script("a.lua", ASK), task, LIMITS)) is None
    turn = sandbox.step()
    told = decode(turn.payload)
    assert turn.kind == "done", told
    sandbox.leave()
    return told


def differences(ours: Sandbox, pairs: int) -> Iterator[tuple[dict[str, Any], str, str]]:
    chance = random.Random(7)  # noqa: S311 - to be repeated, not to be secret
    by_c = Sandbox()
    for _ in range(0, pairs, AT_A_TIME):
        cases = [case(chance) for _ in range(AT_A_TIME)]
        both = zip(cases, answers(by_c, cases), answers(ours, cases), strict=True)
        yield from (one for one in both if one[1] != one[2])


def planted(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str, str]) -> Sandbox:
    """Return a sandbox in which C is given nothing, and that is changed otherwise."""
    nothing = ("patterns", "UNSEEN <const> = 30000000", "UNSEEN <const> = -1")
    with monkeypatch.context() as patched:
        for name, old, new in (nothing, *changes):
            source = sandboxes._source(name)  # pyright: ignore[reportPrivateUsage]
            assert source.count(old.encode()) == 1
            changed = source.replace(old.encode(), new.encode())
            patched.setitem(sandboxes._SOURCES, name, changed)  # pyright: ignore[reportPrivateUsage]
        return Sandbox()


def test_what_is_matched_here_is_what_c_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(differences(planted(monkeypatch), PAIRS))
    sys.stdout.write(f"survived {PAIRS - len(found)} / {PAIRS} patterns\n")
    assert found == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("for to = last, at + one.least, -1 do", "for to = at + one.least, last do"),
        ("at = found and at or at + 1", "at = found and at or at + 2"),
        ("lengths[l] = at - begins[l]", "lengths[l] = at - begins[l] + 1"),
        ("if at < 0 then", "if at < -1 then"),
        ('fault("invalid pattern capture")', 'fault("invalid capture")'),
    ],
)
def test_a_matcher_that_is_wrong_turns_it_red(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert any(differences(planted(monkeypatch, ("matching", old, new)), PAIRS))
