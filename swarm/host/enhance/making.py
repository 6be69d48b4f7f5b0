"""What a proposal makes of a blueprint: worked out from the stored base, kept nowhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowir.errors import FlowError
from swarm.blueprint.frozen import thawed
from swarm.blueprint.patches import applied, difference
from swarm.blueprint.shapes import is_object
from swarm.enhance.changes import reserved
from swarm.enhance.policy import AUTHOR
from swarm.enhance.proposals import Proposal, cleaned, read_proposal
from swarm.enhance.verdicts import Change
from swarm.errors import Refused, SwarmError
from swarm.host.blueprints import Blueprints
from swarm.host.enhance.bench import Bench, said, selector_of

__all__ = ("Maker",)


class Maker:
    """Carries proposals out on paper."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @property
    def _versions(self) -> Blueprints:
        return self._bench.host.blueprints

    async def change(self, head: Any, proposal: Any) -> dict[str, Any]:
        """Return the change that a proposal is, or with a `problem` why it is none."""
        blank: dict[str, Any] = {**head, "ops": [], "rationale": "", "bump": "patch",
                                 "result": "", "axes": [], "problem": ""}  # fmt: skip
        if is_object(proposal) and proposal.keys() == {"problem"}:
            return {**blank, "problem": cleaned(str(proposal["problem"]))[:500]}
        try:
            read = read_proposal(proposal)
            ops = await self._operations(head, read)
            for objection in reserved(ops):
                return {**blank, "problem": str(objection)}
            made = await self.made(head, ops)
        except (SwarmError, FlowError) as e:
            return {**blank, "problem": said(e)}
        return {
            **blank,
            "ops": ops,
            "rationale": read.rationale,
            "bump": read.bump,
            "result": made.result,
            "axes": list(self._bench.policy.required()),
        }

    async def made(self, head: Any, ops: Any) -> Change:
        """Work out what a change is, from the stored base and the operations alone."""
        contents = await self._versions.read(selector_of(head))
        before = thawed(contents.document)
        after = applied(before, ops)
        if after.get("id") != before.get("id"):
            raise Refused("enhance.protected_path", "'id' is people's to change")
        compiled = await self._versions.compiled(after)
        baseline = await self._baseline(head["blueprint"])
        return Change(head["base"], compiled.digest, baseline, before, thawed(compiled.document))

    async def _operations(self, head: Any, proposal: Proposal) -> list[Any]:
        if proposal.source is None:
            return [dict(op) for op in proposal.ops]
        contents = await self._versions.read(selector_of(head))
        with tempfile.TemporaryDirectory(prefix="swarm-") as folder:
            for path, file in contents.files.items():
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.body)
            source = Path(folder) / "blueprint.lua"
            source.write_text(proposal.source, "utf-8")
            built = await self._versions.compiled(str(source))
        return difference(thawed(contents.document), thawed(built.document))

    async def _baseline(self, blueprint: str) -> Mapping[str, Any]:
        """Return what a person approved last: not what the loop made of it since."""
        before: int | None = None
        while True:
            log = await self._versions.log(blueprint, limit=100, before=before)
            for entry in log:
                if entry.note.author != AUTHOR:
                    found = await self._versions.read(f"{blueprint}@{entry.label}")
                    return thawed(found.document)
            if not log:
                told = f"{blueprint}: expected a version that a person registered, got none"
                raise Refused("enhance.no_baseline", told)
            before = log[-1].number
