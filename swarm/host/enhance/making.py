"""What a proposal makes of a blueprint: worked out from the stored base, kept nowhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowir.errors import FlowError
from swarm.blueprint.canonical import digest_of
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
from swarm.ports.versions import Entry

__all__ = ("Maker",)


# The document before, and the digest and the document of what becomes of it.
_Made: TypeAlias = tuple[Mapping[str, Any], str, Mapping[str, Any]]
_KEPT: Final = 32


class Maker:
    """Carries proposals out on paper.

    What an entry and operations come to is always the same: each of them is worked out once
    for all axes.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._known: dict[tuple[str, str], _Made] = {}

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
        entry = await self._versions.find(selector_of(head))
        key = entry.commit, digest_of(ops)
        found = self._known.get(key)
        if found is None:
            found = await self._worked_out(entry, ops)
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        before, result, document = found
        baseline = await self._baseline(head["blueprint"])
        return Change(head["base"], result, baseline, before, document)

    async def _worked_out(self, entry: Entry, ops: Any) -> _Made:
        contents = await self._versions.read(f"{entry.blueprint}@{entry.label}")
        before = thawed(contents.document)
        after = applied(before, ops)
        if after.get("id") != before.get("id"):
            raise Refused("enhance.protected_path", "'id' is people's to change")
        compiled = await self._versions.compiled(after)
        return before, compiled.digest, thawed(compiled.document)

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
