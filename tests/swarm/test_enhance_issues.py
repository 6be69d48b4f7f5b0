"""Issues that the loop was not built with, and axes that know no blueprint by name."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from swarm.blueprint.canonical import digest_of
from swarm.blueprint.frozen import thawed
from swarm.enhance.rules import propose as propose_by_rules
from swarm.enhance.verdicts import Change, judged
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.testing import ScriptedProposer
from tests.swarm import improving as i
from tests.swarm.test_enhance_hostile import PATCHES, denied

ROOT = Path(__file__).parents[2]
PURE = ("schema", "noop", "references", "power", "guards", "limits", "cost")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# What people write of blueprints of the repository, and what becomes of it: a state, and
# where in the document it shows. The rules were not made with these.
REVIEW = "blueprints/review.lua"
ISSUES: list[tuple[str, str, str, str, Any]] = [
    (
        REVIEW,
        "Pages hang for ever. Could you set the timeout of checker to 7.5 s, please?",
        "applied",
        "agents.checker.timeout_s",
        7.5,
    ),
    (
        REVIEW,
        "nobody can find who mends the text: tag reviser with mends",
        "applied",
        "agents.reviser.tags",
        ["mends"],
    ),
    (
        REVIEW,
        "Fillers: in reviser replace \"what == 'in order to'\" by \"what == 'so as to'\"",
        "rejected",
        "enhance.not_understood",
        None,
    ),
    (
        "blueprints/built_review.lua",
        "Too many rounds; limit the loop to 2 rounds.",
        "applied",
        "loop.max",
        2,
    ),
    (
        REVIEW,
        "The reviewer is too strict about commas.",
        "rejected",
        "enhance.not_understood",
        None,
    ),
]


def graded(letter: str) -> str:
    return letter


def loops(node: Any) -> list[Any]:
    found = [node] if node.get("kind") == "loop" else []
    parts = [*node.get("children", ()), *(node[k] for k in ("body", "then", "else") if k in node)]
    return found + [loop for part in parts for loop in loops(part)]


def shown(document: Any, where: str) -> Any:
    first, _, rest = where.partition(".")
    if first == "loop":
        return loops(document["flow"])[0][rest]
    name, _, setting = rest.partition(".")
    (agent,) = [one for one in document["agents"] if one["name"] == name]
    found = agent[setting]
    return list(found) if isinstance(found, list | tuple) else found


@pytest.mark.parametrize("row", ISSUES, ids=[row[1][:40] for row in ISSUES])
async def test_an_issue_in_somebodys_own_words_is_carried_out_or_refused_with_its_reason(
    row: Any,
) -> None:
    file, intent, state, where, value = row
    host = Host.in_memory(scripts="inline", includes={"house": ROOT / "agents"})
    enhancer = Enhancer(host, i.OPEN, proposer=propose_by_rules)
    host.function("readability")(graded)
    async with host:
        document = thawed((await host.load(str(ROOT / file))).document)
        entry = (await host.blueprints.register(document, author="ada")).entry
        before = (await host.blueprints.read(entry.blueprint)).document
        ended = await i.improved(enhancer, intent, entry.blueprint)
        done = i.outcome_of(ended)
        assert done["state"] == state, done
        after = (await host.blueprints.read(entry.blueprint)).document
        if state == "applied":
            assert shown(after, where) == value
        else:
            assert i.codes(done) == {where}
            assert after == before
            assert any(where in said for said in await denied(enhancer, ended.run_id))


async def test_a_hostile_proposer_that_is_asked_for_something_harmless_gets_nowhere() -> None:
    def shell(asked: dict[str, Any]) -> Any:
        new = copy.deepcopy(asked["document"])
        agent = {"name": "shell", "kind": "process", "argv": ["sh", "-c", "id"], "output": "text"}
        new["agents"].append(agent)
        return i.patching(lambda d: d.update(new))(asked)

    hostile: list[Any] = [
        shell,
        i.patching(lambda d: d.__setitem__("description", "b"), verdicts=[{"axis": "power"}]),
        i.patching(lambda d: d["agents"][2].__setitem__("prompt", "just say yes")),
        i.patching(lambda d: d["agents"][4].__setitem__("source", "return swarm.call('publish')")),
        "I would rather not.",
        ConnectionError("away"),
    ]  # fmt: skip
    benign = i.patching(lambda d: d["agents"][4].__setitem__("tags", ["short"]))
    proposer = ScriptedProposer([*hostile, benign])
    enhancer = i.in_memory(proposer)
    async with enhancer.host as host:
        await i.registered(host)
        survived, done = 0, dict[str, Any]()
        for _ in hostile:
            ended = await i.improved(enhancer, "tag helper with short")
            done = i.outcome_of(ended)
            assert done["state"] == "rejected"
            assert await denied(enhancer, ended.run_id)
            survived += await i.labels(host) == ["1.0.0"]
        print(f"hostile proposals: {survived} / {len(hostile)}")  # noqa: T201 - the count
        assert survived == len(hostile)
        # The last of them raised: that is a reason, and its run did not fail.
        assert done["reasons"] == ["enhance.proposer: it raised ConnectionError"]
        assert (
            i.outcome_of(await i.improved(enhancer, "tag helper with short"))["state"] == "applied"
        )
        assert len(proposer.asked) == len(hostile) + 1
        # What is written down is all there is.
        done = i.outcome_of(await i.improved(enhancer, "one more"))
        assert i.codes(done) == {"enhance.not_understood"}


def test_no_axis_reads_the_id_of_a_blueprint() -> None:
    """The same change of a blueprint by any other name is judged the same."""
    judgements = 0
    for _, hostile, _, benign in PATCHES:
        for edit in (hostile, benign):
            verdicts: list[Any] = []
            for name in ("review", "payroll"):
                head = {**copy.deepcopy(i.DOCUMENT), "id": name}
                document = i.edited(edit, head)
                if document["id"] != name:
                    continue  # a change of the id itself
                change = Change(digest_of(head), digest_of(document), head, head, document)
                found = [judged(axis, change, 1.25) for axis in PURE]
                verdicts.append([(v.axis, v.passed, v.evidence) for v in found if v is not None])
            assert all(one == verdicts[0] for one in verdicts)
            judgements += len(verdicts)
    assert judgements > 150
