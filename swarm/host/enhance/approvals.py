"""What a senior says to one change: a token for this base and this result, used once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarm.errors import Denied
from swarm.host.enhance.bench import Bench

__all__ = ("Approvals",)


class Approvals:
    """Mints approvals, and tells whose they are."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def mint(self, run_id: str, review: Mapping[str, Any], by: str) -> str:
        """Mint a token that approves one change, once."""
        return self._bench.host.tokens.mint(
            by,
            "senior",
            ["enhance.approve"],
            run=run_id,
            step=_binding(review["base"], review["result"]),
            uses=1,
            ttl_s=self._bench.policy.approval_s,
        )

    def checked(self, token: str, run_id: str, base: str, result: str) -> str:
        """Return whose approval a token is.

        Raises: Denied, for one that is not of this run, this base and this result.
        """
        binding = _binding(base, result)
        guard = self._bench.host.tokens.guard
        passed = guard.check(token, "enhance.approve", run=run_id, step=binding)
        grant = passed.decision.unwrap()
        passed.release()
        if (grant.run, grant.step) != (run_id, binding) or grant.role != "senior":
            said = "enhance.approve: expected a senior's token for this change alone"
            raise Denied("capability.denied", said, verb="enhance.approve", reason="step")
        return grant.subject


def _binding(base: str, result: str) -> str:
    return f"{base}:{result}"
