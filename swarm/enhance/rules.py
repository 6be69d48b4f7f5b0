"""A proposer that needs no model: it knows the words of a few common intents.

    set the timeout of AGENT to 20 s          a limit of an agent
    limit the loop at PLACE to 3 rounds       the most rounds of a loop; PLACE: its id, or none
    tag AGENT with WORD                       a tag
    tell AGENT "a sentence"                   a sentence at the end of its instructions
    in AGENT replace "this" by "that"         a text of its script or its instructions

What it does not understand it says so, and proposes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from swarm.enhance.reading import below
from swarm.errors import Refused

__all__ = ("propose",)

_Ops: TypeAlias = list[dict[str, Any]]
_NAME = r"(?P<agent>[A-Za-z_][\w.-]*)"
_SUCH_AS = (
    "'set the timeout of AGENT to 20 s', 'limit the loop to 3 rounds', 'tag AGENT with WORD', "
    """'tell AGENT "a sentence"' or 'in AGENT replace "this" by "that"'"""
)
_TEXT = r"\"(?P<{}>[^\"]+)\""


def propose(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Propose a change of `asked["document"]` for `asked["issue"]["intent"]`.

    Raises: Refused (enhance.not_understood).
    """
    intent, document = asked["issue"]["intent"], asked["document"]
    for pattern, make in _RULES:
        found = pattern.search(intent)
        if found is not None:
            ops = make(document, found)
            return {"ops": ops, "rationale": f"as asked: {intent}", "bump": "patch"}
    said = f"expected an intent such as {_SUCH_AS}, got {intent[:80]!r}"
    raise Refused("enhance.not_understood", said)


def _agent(document: Mapping[str, Any], name: str) -> tuple[str, Mapping[str, Any]]:
    for i, agent in enumerate(document["agents"]):
        if agent["name"] == name:
            return f"/agents/{i}", agent
    known = ", ".join(agent["name"] for agent in document["agents"])
    raise Refused("enhance.not_understood", f"expected an agent of {known}, got {name!r}")


def _timeout(document: Mapping[str, Any], found: re.Match[str]) -> _Ops:
    at, _ = _agent(document, found["agent"])
    return [{"op": "add", "path": f"{at}/timeout_s", "value": float(found["value"])}]


def _rounds(document: Mapping[str, Any], found: re.Match[str]) -> _Ops:
    loops = list(_loops(document["flow"], "/flow"))
    named = [at for at, node in loops if found["id"] in (None, node.get("id"))]
    if len(named) != 1:
        said = f"expected one loop that is meant, got {len(named)} of {len(loops)}"
        raise Refused("enhance.not_understood", said)
    return [{"op": "replace", "path": f"{named[0]}/max", "value": int(found["value"])}]


def _loops(node: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if node["kind"] == "loop":
        yield at, node
    for part, child in below(node):
        step = part.replace("[", "/").replace("]", "")
        yield from _loops(child, f"{at}/{step}")


def _tag(document: Mapping[str, Any], found: re.Match[str]) -> _Ops:
    at, agent = _agent(document, found["agent"])
    tags = [*agent.get("tags", ()), found["word"]]
    return [{"op": "add", "path": f"{at}/tags", "value": list(dict.fromkeys(tags))}]


def _tell(document: Mapping[str, Any], found: re.Match[str]) -> _Ops:
    at, agent = _agent(document, found["agent"])
    said = f"{agent.get('instructions', '')} {found['said']}".strip()
    return [{"op": "add", "path": f"{at}/instructions", "value": said}]


def _replace(document: Mapping[str, Any], found: re.Match[str]) -> _Ops:
    at, agent = _agent(document, found["agent"])
    for name in ("source", "instructions", "prompt"):
        text = agent.get(name)
        if isinstance(text, str) and text.count(found["old"]) == 1:
            value = text.replace(found["old"], found["new"])
            return [{"op": "replace", "path": f"{at}/{name}", "value": value}]
    said = f"expected a text that stands once in {found['agent']!r}, got {found['old']!r}"
    raise Refused("enhance.not_understood", said)


_RULES: Final[Sequence[tuple[re.Pattern[str], Callable[..., _Ops]]]] = (
    (re.compile(rf"\btimeout of {_NAME} to (?P<value>\d+(?:\.\d+)?) ?s", re.I), _timeout),
    (
        re.compile(r"\bloop(?: at (?P<id>[\w.-]+))? to (?P<value>\d{1,9}) rounds?", re.I),
        _rounds,
    ),
    (re.compile(rf"\btag {_NAME} with (?P<word>[\w.-]+)", re.I), _tag),
    (re.compile(rf"\btell {_NAME} {_TEXT.format('said')}", re.I), _tell),
    (
        re.compile(rf"\bin {_NAME} replace {_TEXT.format('old')} by \"(?P<new>[^\"]*)\"", re.I),
        _replace,
    ),
)
