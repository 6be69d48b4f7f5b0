"""The proposer that needs no model: what it understands, and what it says of the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest

from swarm.enhance.rules import propose
from swarm.errors import Refused

SUCH_AS = (
    "'set the timeout of AGENT to 20 s', 'limit the loop to 3 rounds', 'tag AGENT with WORD', "
    """'tell AGENT "a sentence"' or 'in AGENT replace "this" by "that"'"""
)


def loop(name: str, body: Any = None) -> dict[str, Any]:
    return {"kind": "loop", "id": name, "max": 9, "body": body or {"kind": "seq", "children": []}}


AGENTS: list[dict[str, Any]] = [
    {"name": "writer", "kind": "lua", "source": "return 'hi' .. 'hi'"},
    {"name": "editor", "kind": "human", "prompt": "may it?", "tags": ["calm"]},
    {"name": "critic", "kind": "operator", "instructions": "Be brief.", "source": "x y"},
]
FLOW = {"kind": "seq", "children": [loop("outer", {"kind": "seq", "children": [loop("inner")]})]}


def proposed(intent: str, flow: Any = FLOW) -> Any:
    document = {"agents": AGENTS, "flow": flow}
    found = propose({"issue": {"intent": intent}, "document": document})
    assert (found["rationale"], found["bump"]) == (f"as asked: {intent}", "patch")
    (op,) = found["ops"]
    return op["op"], op["path"], op["value"]


@pytest.mark.parametrize(
    ("intent", "op"),
    [
        ("set the timeout of editor to 20 s", ("add", "/agents/1/timeout_s", 20.0)),
        ("Timeout of writer to 2.5s, please", ("add", "/agents/0/timeout_s", 2.5)),
        (
            "limit the loop at outer to 3 rounds",
            ("replace", "/flow/children/0/max", 3),
        ),
        (
            "limit the loop at inner to 1 round",
            ("replace", "/flow/children/0/body/children/0/max", 1),
        ),
        ("tag writer with quick", ("add", "/agents/0/tags", ["quick"])),
        ("tag editor with calm", ("add", "/agents/1/tags", ["calm"])),
        ("tag editor with kind", ("add", "/agents/1/tags", ["calm", "kind"])),
        ('tell writer "be nice"', ("add", "/agents/0/instructions", "be nice")),
        ('tell critic "be nice"', ("add", "/agents/2/instructions", "Be brief. be nice")),
        ('in editor replace "may" by "can"', ("replace", "/agents/1/prompt", "can it?")),
        ('in critic replace "brief" by ""', ("replace", "/agents/2/instructions", "Be .")),
        ('in critic replace "x" by "z"', ("replace", "/agents/2/source", "z y")),
    ],
)
def test_an_intent_of_a_few_words_becomes_one_operation(intent: str, op: Any) -> None:
    assert proposed(intent) == op


def test_a_loop_needs_no_name_where_there_is_one() -> None:
    assert proposed("loop to 2 rounds", loop("only")) == ("replace", "/flow/max", 2)


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        (
            "make it better",
            f"expected an intent such as {SUCH_AS}, got 'make it better'",
        ),
        ("x" * 100, f"expected an intent such as {SUCH_AS}, got {'x' * 80!r}"),
        ("tag nobody with x", "expected an agent of writer, editor, critic, got 'nobody'"),
        ("loop to 2 rounds", "expected one loop that is meant, got 2 of 2"),
        ("loop at other to 2 rounds", "expected one loop that is meant, got 0 of 2"),
        (
            'in writer replace "hi" by "ho"',
            "expected a text that stands once in 'writer', got 'hi'",
        ),
        (
            'in writer replace "none" by "ho"',
            "expected a text that stands once in 'writer', got 'none'",
        ),
    ],
)
def test_what_it_does_not_understand_it_says(intent: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        proposed(intent)
    assert (refused.value.code, refused.value.message) == ("enhance.not_understood", said)


def test_every_kind_of_intent_is_named_to_whoever_wrote_none() -> None:
    """Each, with real names, is understood."""
    for intent in re.split(r", | or (?=')", SUCH_AS):
        meant = intent.strip("'").replace("AGENT", "writer").replace("WORD", "new")
        if "replace" in meant:
            continue  # its text has to be there
        assert proposed(meant, loop("only")) is not None
