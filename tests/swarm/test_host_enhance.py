"""The enhance loop on a real host: issues become versions, or reasons."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.enhance.verdicts import AXES, Verdict
from swarm.errors import Refused
from swarm.host.blueprints import EVIDENCE
from swarm.host.enhance import Enhancer
from swarm.host.enhance.judging import Judge
from swarm.host.host import Host
from tests.swarm import improving as i


async def test_an_issue_becomes_a_version_with_its_evidence() -> None:
    enhancer = i.in_memory(i.propose_by_rules)
    async with enhancer.host as host:
        await i.registered(host)
        done = i.outcome_of(await i.improved(enhancer, "tag helper with short"))
        assert (done["state"], done["label"]) == ("applied", "1.0.1"), done
        contents = await host.blueprints.read("review")
        helper = contents.document["agents"][4]
        assert list(helper["tags"]) == ["text", "short"]
        evidence: Any = json.loads(contents.files[EVIDENCE].body)
        assert {one["axis"] for one in evidence["verdicts"]} >= {"power", "guards", "cases"}


async def test_verdicts_are_shown_in_the_order_of_the_axes_whichever_is_ready_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdict, late = Judge.verdict, AXES[0]
    others = anyio.Event()

    async def waited(self: Judge, axis: str, change: Any, made: Any) -> Verdict:
        if axis == late:
            await others.wait()
        found = await verdict(self, axis, change, made)
        if axis == AXES[1]:
            others.set()
        return found

    monkeypatch.setattr(Judge, "verdict", waited)
    enhancer = i.in_memory(i.propose_by_rules)
    async with enhancer.host as host:
        await i.registered(host)
        run = await enhancer.submit("review", "tag helper with short", author="bob")
        with anyio.fail_after(30):
            i.outcome_of(await run.wait())
        shown = await enhancer.show(run.id)
        assert tuple(one["axis"] for one in shown.verdicts) == AXES


async def test_a_policy_that_is_none_is_refused_in_its_own_words() -> None:
    with pytest.raises(Refused, match="per_hour") as caught:
        Enhancer(Host.in_memory(), {"per_hour": -1})
    assert caught.value.code == "enhance.policy"


async def test_scores_decide_and_are_measured_twice() -> None:
    scores = {"return 'worse'": 0.2, "return 'better'": 0.9, "return 'better' --": 0.9}
    noise = [0.0]

    async def cases(name: str, document: Any, files: Any) -> dict[str, float]:
        source = document["agents"][4]["source"]
        noise[0] += 0.001 if source == "return 'noisy'" else 0.0
        return {"a": 1.0, "b": scores.get(source, 0.5) + noise[0]}

    def saying(source: str) -> Any:
        return i.patching(lambda d: d["agents"][4].__setitem__("source", source))

    tried = [saying(f"return {x}") for x in ("'worse'", "'noisy'", "'better'", "'better' --")]
    policy = i.OPEN.model_copy(update={"margin": 0.1})
    enhancer = i.in_memory(i.proposing(*tried), policy, cases=cases)
    async with enhancer.host as host:
        await i.registered(host)
        done = [i.outcome_of(await i.improved(enhancer)) for _ in tried]
        assert [one["state"] for one in done] == ["rejected", "rejected", "applied", "rejected"]
        said = [one["reasons"][0].split(":")[0] for one in done if one["reasons"]]
        assert said == ["enhance.case_worse", "enhance.unsteady", "enhance.no_gain"]
        assert await i.labels(host) == ["1.0.1", "1.0.0"]


@pytest.mark.parametrize("scores", [KeyError("gone"), [1, 2], {"a": "high"}, {"a": math.nan}])
async def test_cases_that_raise_or_are_none_deny_a_change_on_the_record(scores: Any) -> None:
    broken = True

    async def cases(name: str, document: Any, files: Any) -> Any:
        if broken and isinstance(scores, Exception):
            raise scores
        return scores if broken else {"a": 1.0}

    changes = [i.patching(lambda d, n=n: d.__setitem__("description", n)) for n in "ab"]
    enhancer = i.in_memory(i.proposing(*changes), i.OPEN, cases=cases)
    async with enhancer.host as host:
        await i.registered(host)
        done = i.outcome_of(await i.improved(enhancer))
        assert (done["state"], i.codes(done)) == ("rejected", {"enhance.cases_failed"})
        denied = [entry for entry in await host.audit() if entry.decision == "denied"]
        assert any("enhance.cases_failed" in json.dumps(dict(entry.detail)) for entry in denied)
        assert await i.labels(host) == ["1.0.0"]
        broken = False
        assert i.outcome_of(await i.improved(enhancer))["state"] == "applied", "the twin"


async def test_a_blueprint_without_cases_is_for_a_person() -> None:
    policy = i.OPEN.model_copy(update={"without_cases": "ask"})
    enhancer = i.in_memory(i.propose_by_rules, policy)
    async with enhancer.host as host:
        await i.registered(host)
        run = await i.asked(enhancer, "tag helper with short")
        (view,) = await enhancer.issues("review")
        assert (view.state, view.decision["act"]) == ("waiting", "ask")
        await enhancer.approve(run.id, by="ada")
        assert i.outcome_of(await run.wait())["state"] == "applied"


async def test_a_proposer_learns_what_was_rejected_and_what_failed() -> None:
    seen: list[Any] = []

    def propose(asked: dict[str, Any]) -> Any:
        seen.append(asked)
        return "nothing"

    enhancer = i.in_memory(propose)
    async with enhancer.host as host:
        await i.registered(host)
        await i.improved(enhancer, "first")
        await i.improved(enhancer, "second")
    assert seen[0]["lessons"] == []
    assert seen[1]["lessons"][0].startswith("enhance.parse_error")
    assert "data, not instructions" in seen[1]["quoted"]


async def test_one_issue_of_a_blueprint_is_in_flight_at_a_time() -> None:
    inside, most = [0], [0]

    async def propose(asked: dict[str, Any]) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        await anyio.sleep(0.05)
        inside[0] -= 1
        tags = [*asked["document"]["agents"][4]["tags"], asked["issue"]["intent"]]
        return i.patching(lambda d: d["agents"][4].__setitem__("tags", tags))(asked)

    enhancer = i.in_memory(propose)
    async with enhancer.host as host:
        await i.registered(host)
        runs = [await enhancer.submit("review", f"t{n}", author="bob") for n in range(3)]
        done = [i.outcome_of(await run.wait()) for run in runs]
        assert [one["state"] for one in done] == ["applied"] * 3
        assert most == [1]
        tags = (await host.blueprints.read("review")).document["agents"][4]["tags"]
        assert sorted(tags) == ["t0", "t1", "t2", "text"]


class Stuck(Enhancer):
    """A loop that does one step and is killed before its answer is kept."""

    def __init__(self, *arguments: Any, step: str, **named: Any) -> None:
        self.step = step
        self.reached = anyio.Event()
        super().__init__(*arguments, **named)

    async def did(self, step: str) -> None:
        if step == self.step:
            self.reached.set()
            await anyio.sleep_forever()


@pytest.mark.parametrize("step", ["turn", "propose", "apply", "verify", "decide", "commit"])
async def test_killed_behind_any_step_and_resumed_an_issue_commits_once(
    tmp_path: Path, step: str
) -> None:
    tags = ["once"]
    proposer = i.patching(lambda d: d["agents"][4].__setitem__("tags", tags))
    host = Host(tmp_path, scripts="inline", shutdown_s=0.2)
    first = Stuck(host, i.OPEN, proposer=proposer, step=step)
    async with host:
        await i.registered(host)
        run_id = (await first.submit("review", "better", author="bob")).id
        with anyio.fail_after(30):
            await first.reached.wait()
    second = i.at(tmp_path, proposer)
    async with second.host as host:
        with anyio.fail_after(30):
            done = i.outcome_of(await (await host.resume(run_id)).wait())
        assert done["state"] == "applied"
        assert await i.labels(host) == ["1.0.1", "1.0.0"]


async def asked_for(enhancer: Enhancer, code: str) -> None:
    """Expect that a person is asked, for this reason."""
    await i.asked(enhancer)
    (view, *_) = await enhancer.issues()
    assert any(said.startswith(code) for said in view.decision["reasons"]), view.decision


async def test_what_the_allowance_does_not_name_is_for_a_person() -> None:
    policy = i.OPEN.model_copy(update={"unattended": ("limits",), "in_a_row": 1})
    tags = i.patching(lambda d: d["agents"][4].__setitem__("tags", ["other"]))
    lower = [i.patching(lambda d, n=n: d["agents"][4].__setitem__("timeout_s", n)) for n in (3, 2)]
    enhancer = i.in_memory(i.proposing(lower[0], lower[1], tags), policy)
    async with enhancer.host as host:
        await i.registered(host)
        assert i.outcome_of(await i.improved(enhancer))["state"] == "applied"
        # One more in a row than a person has looked at.
        await asked_for(enhancer, "enhance.beyond_allowance")
        await host.blueprints.register(
            i.edited(lambda d: d.__setitem__("description", "seen")), author="ada"
        )
        await asked_for(enhancer, "enhance.beyond_allowance: a change of tags")


async def test_an_axis_that_nobody_judges_and_one_that_is_late_do_not_pass() -> None:
    async def slow(name: str, document: Any, files: Any) -> dict[str, float]:
        await anyio.sleep(5)
        return {}

    named = i.OPEN.model_copy(update={"axes": ("style",)})
    hasty = i.OPEN.model_copy(update={"cases_s": 0.01})
    for policy, more, code in (
        (named, {}, "enhance.unknown_axis"),
        (hasty, {"cases": slow}, "enhance.late"),
    ):
        proposer = i.patching(lambda d: d.__setitem__("description", "other"))
        enhancer = i.in_memory(proposer, policy, **more)
        async with enhancer.host as host:
            await i.registered(host)
            assert code in i.codes(i.outcome_of(await i.improved(enhancer)))
            assert await i.labels(host) == ["1.0.0"]


async def test_who_does_not_wait_cannot_be_approved() -> None:
    enhancer = i.in_memory(i.patching(lambda d: d.__setitem__("description", "other")))
    async with enhancer.host as host:
        await i.registered(host)
        run = await enhancer.submit("review", "better", author="bob")
        await run.wait()
        with pytest.raises(Refused) as caught:
            await enhancer.approve(run.id, by="ada")
        assert caught.value.code == "enhance.not_waiting"
        other = await host.start(await host.load(i.DOCUMENT | {"layers": []}), {"topic": "x"})
        await other.cancel()
        with pytest.raises(Refused) as caught:
            await enhancer.show(other.id)
        assert caught.value.code == "enhance.unknown"
