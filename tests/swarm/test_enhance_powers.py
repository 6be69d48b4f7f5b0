"""The power gate, asked by itself: where what a powerful step reads comes from."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.enhance.powers import is_powerful, widened

Json = dict[str, Any]
AGENTS: list[Json] = [
    {"name": "writer", "kind": "lua", "source": "return input"},
    {"name": "other", "kind": "lua", "source": "return input"},
    {"name": "printer", "kind": "process", "argv": ["lpr"]},
    {"name": "mailer", "kind": "process", "argv": ["mail"]},
]


def lit(value: Any) -> Json:
    return {"op": "lit", "value": value}


def path(at: str) -> Json:
    return {"op": "path", "at": at}


def step(ref: str, given: Any, out: str | None = None) -> Json:
    found = {"kind": "step", "ref": ref, "in": given}
    return found if out is None else {**found, "out": out}


def assign(at: str, value: Any) -> Json:
    return {"kind": "assign", "at": at, "value": value}


def fanout(items: Any, collect: Any) -> Json:
    return {
        "kind": "fanout", "items": items, "bind": "$.item", "join": "all", "out": "$.all",
        "body": step("writer", path("$.item"), "$.made"), "collect": collect,
    }  # fmt: skip


def document(*nodes: Json, agents: list[Json] | None = None) -> Json:
    flow = {"kind": "seq", "children": list(nodes)}
    return {"swarm": 1, "id": "letters", "agents": agents or AGENTS, "flow": flow}


def objections(before: Json, after: Json) -> list[tuple[str, str]]:
    return [(one.code, str(one).removeprefix(f"{one.code}: ")) for one in widened(before, after)]


PRINT = step("printer", path("$.letter"))
SAID = "a step asks process 'printer' with what, or where, no step of the baseline did"
WIDENED = [("enhance.capability_widened", SAID)]

# What is before the printer's step; what gives it other words; and what does not.
WAYS: list[tuple[str, list[Json], list[Json], list[Json]]] = [
    (
        "an assign",
        [assign("$.letter", lit("Dear all"))],
        [assign("$.letter", lit("rm -rf"))],
        [assign("$.letter", lit("Dear all")), assign("$.note", lit("rm -rf"))],
    ),
    (
        "another step",
        [step("writer", path("$.topic"), "$.letter")],
        [step("other", path("$.topic"), "$.letter")],
        [step("writer", path("$.topic"), "$.letter"), step("other", path("$.topic"), "$.note")],
    ),
    (
        "a part of what is read",
        [assign("$.letter", lit({"to": "all"}))],
        [assign("$.letter", lit({"to": "all"})), assign("$.letter.to", lit("eve"))],
        [assign("$.letter", lit({"to": "all"})), assign("$.letters", lit("eve"))],
    ),
    (
        "two assigns",
        [assign("$.draft", lit("Dear all")), assign("$.letter", path("$.draft"))],
        [assign("$.draft", lit("rm -rf")), assign("$.letter", path("$.draft"))],
        [
            assign("$.draft", lit("Dear all")),
            assign("$.letter", path("$.draft")),
            assign("$.note", lit("rm -rf")),
        ],
    ),
    (
        "the items of a fanout",
        [fanout(lit(["a"]), path("$.made")), assign("$.letter", path("$.item"))],
        [fanout(lit(["rm -rf"]), path("$.made")), assign("$.letter", path("$.item"))],
        [fanout(lit(["a"]), lit("rm -rf")), assign("$.letter", path("$.item"))],
    ),
    (
        "what a fanout collects",
        [fanout(lit(["a"]), path("$.made")), assign("$.letter", path("$.all"))],
        [fanout(lit(["a"]), path("$.other")), assign("$.letter", path("$.all"))],
        [
            fanout(lit(["a"]), path("$.made")),
            assign("$.letter", path("$.all")),
            assign("$.note", path("$.other")),
        ],
    ),
]


@pytest.mark.parametrize(("name", "before", "hostile", "benign"), WAYS, ids=[w[0] for w in WAYS])
def test_what_a_powerful_step_reads_comes_from_where_it_came(
    name: str, before: list[Json], hostile: list[Json], benign: list[Json]
) -> None:
    baseline = document(*before, PRINT)
    assert objections(baseline, document(*hostile, PRINT)) == WIDENED
    assert objections(baseline, document(*benign, PRINT)) == []


def test_a_fanout_says_something_of_its_item_and_of_what_it_collects_alone() -> None:
    letter = assign("$.letter", lit("Dear all"))
    before, after = fanout(lit(["a"]), path("$.made")), fanout(lit(["rm -rf"]), path("$.other"))
    assert objections(document(letter, before, PRINT), document(letter, after, PRINT)) == []


def test_two_assigns_that_read_each_other_are_followed_to_an_end() -> None:
    ring = [assign("$.letter", path("$.draft")), assign("$.draft", path("$.letter"))]
    assert objections(document(*ring, PRINT), document(*ring, PRINT)) == []


def test_a_step_that_is_moved_to_another_agent_is_told_from_one_that_is_new() -> None:
    baseline = document(PRINT, step("mailer", lit("hello")))
    moved = document(step("mailer", path("$.letter")), step("mailer", lit("hello")))
    assert objections(baseline, moved) == [
        (
            "enhance.flow_capability_changed",
            f"{SAID.replace('printer', 'mailer')}: there it asks 'printer'",
        )
    ]
    # Also where somebody harmless was asked before; one who is asked there still is no news.
    harmless = document(step("writer", path("$.letter")), PRINT)
    assert objections(document(step("writer", path("$.letter"))), harmless) == [
        ("enhance.flow_capability_changed", f"{SAID}: there it asks 'writer'")
    ]
    twice = document(PRINT, PRINT, step("mailer", lit("hello")))
    assert objections(baseline, twice) == WIDENED
    assert objections(document(PRINT), document(PRINT, step("writer", lit("hello")))) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("return swarm.call('mailer', input)", "call"),
        ("return swarm\n  .call('mailer', input)", "call"),
        ("swarm.secret('x') return swarm.call('mailer', input)", "call, secret"),
        ("local s = swarm return s['call']('mailer', input)", "unclear"),
        ("return _G", "unclear"),
        ("return load('x')()", "unclear"),
        ("swarm.progress('half') return input", None),
        (
            "swarm.part('a', 1) return { swarm.key, swarm.attempt, swarm.null, swarm.array {} }",
            None,
        ),
        ("swarm.fail('x.y', 'no')", None),
        ("return 'a swarming _Gnat'", None),
    ],
)
def test_what_a_script_uses_is_its_power(source: str, words: str | None) -> None:
    agent = {"name": "writer", "kind": "lua", "source": source}
    assert is_powerful(agent) is (words is not None)
    after = document(PRINT, agents=[agent, *AGENTS[1:]])
    said = f"agent 'writer' of kind 'lua' is changed: its script uses {words}"
    expected = [("enhance.capability_widened", said)] if words else []
    assert objections(document(PRINT), after) == expected


def test_a_script_that_stands_elsewhere_is_read_as_it_is_named() -> None:
    assert is_powerful({"name": "w", "kind": "lua", "source": {"$file": "swarm.call"}})
    assert not is_powerful({"name": "w", "kind": "lua", "source": {"$file": "w.lua"}})
    assert not is_powerful({"name": "w", "kind": "lua"})


@pytest.mark.parametrize(
    ("kind", "powerful"),
    [("process", True), ("function", True), ("operator", True), ("sleep", False), ("odd", True)],
)
def test_a_kind_is_powerful_unless_it_is_known_to_be_none(kind: str, powerful: bool) -> None:
    assert is_powerful({"name": "x", "kind": kind}) is powerful
    assert not is_powerful(None)


def test_an_agent_that_is_new_or_changed_is_told_with_what_it_is() -> None:
    new = {"name": "burner", "kind": "process", "argv": ["burn", "x" * 300], "description": "hi"}
    found = objections(document(PRINT), document(PRINT, agents=[*AGENTS, new]))
    text = '{"argv":["burn","' + "x" * 300
    assert found == [
        (
            "enhance.capability_widened",
            f"agent 'burner' of kind 'process' is new: {text[:197]}...",
        )
    ]
    exact = {"name": "burner", "kind": "process", "argv": ["x" * (200 - len('{"argv":[""]}'))]}
    ((_, said),) = objections(document(PRINT), document(PRINT, agents=[*AGENTS, exact]))
    assert said.endswith('"]}')
    told = [{**agent, "description": "other", "tags": ["x"]} for agent in AGENTS]
    assert objections(document(PRINT), document(PRINT, agents=told)) == []


def test_tags_are_power_where_agents_are_chosen_by_them() -> None:
    tagged = [{**agent, "tags": ["x"]} for agent in AGENTS]
    layers: Json = {"layers": [{"use": "resolver"}]}
    before, after = document(PRINT) | layers, document(PRINT, agents=tagged) | layers
    assert [code for code, _ in objections(before, after)] == ["enhance.capability_widened"] * 2
    own = [{**AGENTS[0], **layers}, *AGENTS[1:]]
    found = objections(document(PRINT), document(PRINT, agents=[own[0], *tagged[1:]]))
    assert [code for code, _ in found] == ["enhance.capability_widened"] * 2


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss", "ftp", "file", "HTTPS"])
def test_an_address_that_was_not_named_is_named_in_so_many_letters(scheme: str) -> None:
    address = f"{scheme}://" + "x" * 200
    named = document(assign("$.at", lit(address)), PRINT)
    assert objections(document(PRINT), named) == [
        ("enhance.forbidden_ref", f"{address[:100]!r} is named, and was not before")
    ]
    assert objections(named, named) == []
    elsewhere = {**document(PRINT), "inputs": {"description": address}}
    assert objections(document(PRINT), elsewhere) == []
