"""A host whose blueprints improve, for the tests of the loop: scripted proposers and cases."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from swarm.core.run import RunOutcome
from swarm.enhance.policy import Policy
from swarm.enhance.rules import propose as propose_by_rules
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.testing import ScriptedProposer

__all__ = ("propose_by_rules",)


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


def path(at: str) -> dict[str, Any]:
    return {"op": "path", "at": at}


def eq(at: str, value: Any) -> dict[str, Any]:
    return {"op": "eq", "lhs": path(at), "rhs": lit(value)}


# A blueprint with everything that a gate guards: a program behind a verifier and a person.
DOCUMENT: dict[str, Any] = {
    "swarm": 1,
    "id": "review",
    "description": "reviews a text",
    "limits": {"fuel": 100_000, "events": 1_000},
    "layers": ["audit"],
    "agents": [
        {"name": "writer", "kind": "lua", "source": "return 'draft of ' .. input.topic"},
        {"name": "critic", "kind": "lua", "source": "return 'PASS'", "verdict": ["PASS", "FAIL"]},
        {"name": "owner", "kind": "human", "prompt": "publish?", "verdict": ["yes", "no"]},
        {
            "name": "publish",
            "kind": "process",
            "argv": ["true"],
            "input": "json",
            "output": "text",
            "timeout_s": 20,
        },
        {
            "name": "helper",
            "kind": "lua",
            "source": "return input",
            "timeout_s": 5,
            "retry": {"max_attempts": 2},
            "instructions": "Be brief.",
            "tags": ["text"],
        },
    ],
    "flow": {
        "kind": "seq",
        "children": [
            {
                "kind": "loop",
                "counter": "$.round",
                "cond": {
                    "op": "ne",
                    "lhs": {"op": "default", "arg": path("$.verdict"), "fallback": lit("")},
                    "rhs": lit("PASS"),
                },
                "max": 3,
                "body": {
                    "kind": "seq",
                    "children": [
                        {
                            "kind": "step",
                            "ref": "writer",
                            "in": {"op": "object", "fields": {"topic": path("$.topic")}},
                            "out": "$.draft",
                        },
                        {
                            "kind": "step",
                            "ref": "critic",
                            "in": path("$.draft"),
                            "out": "$.verdict",
                            "id": "check",
                        },
                    ],
                },
            },
            {
                "kind": "branch",
                "cond": eq("$.verdict", "FAIL"),
                "then": {
                    "kind": "assign",
                    "at": "$.stopped",
                    "value": {"op": "fail", "code": "review.failed", "message": lit("no")},
                },
            },
            {"kind": "step", "ref": "owner", "in": path("$.draft"), "out": "$.owner"},
            {
                "kind": "branch",
                "cond": eq("$.owner", "yes"),
                "then": {
                    "kind": "step",
                    "ref": "publish",
                    "in": path("$.draft"),
                    "out": "$.published",
                },
                "else": {"kind": "assign", "at": "$.held", "value": lit(True)},
            },
            {"kind": "step", "ref": "helper", "in": path("$.draft"), "out": "$.helped"},
        ],
    },
}

OPEN = Policy(
    per_hour=1000, per_day=1000, gap_s=0.0, in_a_row=1000, issues_per_hour=1000, failures=0,
    without_cases="commit", unattended=("text", "tags", "limits", "script", "flow", "agents"),
)  # fmt: skip

Edit = Callable[[dict[str, Any]], None]


def edited(edit: Edit, document: Mapping[str, Any] = DOCUMENT) -> dict[str, Any]:
    made = copy.deepcopy(dict(document))
    edit(made)
    return made


def proposing(*answers: Any) -> ScriptedProposer:
    """Make a proposer that gives its answers in turn, and the last of them from then on."""
    return ScriptedProposer(answers, again=True)


def patching(edit: Edit, **more: Any) -> Callable[[dict[str, Any]], Any]:
    """Make a proposer that edits the document as it is."""
    from swarm.blueprint.patches import difference

    def propose(asked: dict[str, Any]) -> Any:
        new = edited(edit, asked["document"])
        return {"ops": difference(asked["document"], new), "rationale": "better", **more}

    return propose


def in_memory(proposer: Any, policy: Policy = OPEN, **more: Any) -> Enhancer:
    return Enhancer(Host.in_memory(scripts="inline"), policy, proposer=proposer, **more)


def at(folder: Path, proposer: Any, policy: Policy = OPEN, **more: Any) -> Enhancer:
    return Enhancer(Host(folder, scripts="inline"), policy, proposer=proposer, **more)


async def registered(host: Host, document: Mapping[str, Any] = DOCUMENT) -> None:
    await host.blueprints.register(document, author="ada", reason="the first")


async def improved(enhancer: Enhancer, intent: str = "better", name: str = "review") -> RunOutcome:
    run = await enhancer.submit(name, intent, author="bob")
    with anyio.fail_after(30):
        return await run.wait()


async def asked(enhancer: Enhancer, intent: str = "better", name: str = "review") -> Run:
    """Submit an issue, and return its run once it waits for a person."""
    run = await enhancer.submit(name, intent, author="bob")
    return await waiting(run)


async def waiting(run: Run) -> Run:
    with anyio.fail_after(30):
        while run.status != "waiting":
            assert run.status in ("pending", "running"), run.status
            await anyio.sleep(0.01)
    return run


def outcome_of(outcome: RunOutcome) -> Mapping[str, Any]:
    assert outcome.status == "succeeded", outcome.error
    assert isinstance(outcome.ctx, dict)
    return outcome.ctx["outcome"]


def codes(outcome: Mapping[str, Any]) -> set[str]:
    return {reason.split(":")[0] for reason in outcome["reasons"]}


async def labels(host: Host, name: str = "review") -> Sequence[str]:
    return [entry.label for entry in await host.blueprints.log(name)]
