"""What a proposer is told: the document, what failed, and what was refused before."""

from __future__ import annotations

import inspect
import logging
from typing import Any, Final

import anyio

from swarm.blueprint.frozen import thawed
from swarm.enhance.lessons import lessons as lessons_of
from swarm.enhance.proposals import Issue, cleaned, quoted, read_proposal
from swarm.errors import SwarmError
from swarm.host.enhance.bench import Bench, said, selector_of
from swarm.host.enhance.issues import Issues
from swarm.host.run import Run

__all__ = ("Proposing",)

_LOGGER = logging.getLogger(__name__)

_TOLD: Final = 5
_PROPOSE_S: Final = 600.0


class Proposing:
    """Puts an issue before the proposer; what it answers is read when it is applied."""

    def __init__(self, bench: Bench, issues: Issues) -> None:
        self._bench = bench
        self._issues = issues

    async def proposal(self, brief: Any) -> Any:
        """Return what the project's proposer answers, or with a `problem` why it does not."""
        try:
            with anyio.fail_after(_PROPOSE_S):
                answer = self._bench.proposer(brief)
                if inspect.isawaitable(answer):
                    answer = await answer
            return read_proposal(answer).to_wire()
        except TimeoutError:
            return {"problem": "enhance.late: no proposal came in time"}
        except SwarmError as e:
            return {"problem": said(e)}
        except Exception as e:
            _LOGGER.warning("a proposer raised", exc_info=e)
            return {"problem": f"enhance.proposer: it raised {type(e).__name__}"}

    async def brief(self, issue: Issue, head: Any, run_id: str) -> dict[str, Any]:
        """Return what whoever proposes is to know.

        It stands in the journal: whether a lesson helps is read from there.
        """
        contents = await self._bench.host.blueprints.read(selector_of(head))
        failures = await self._failures(issue.blueprint)
        lessons = lessons_of(await self._issues.past(issue.blueprint, run_id))
        source = contents.files[contents.source].body.decode("utf-8", "replace")
        return {
            "issue": issue.to_wire(),
            "document": thawed(contents.document),
            "source": source,
            "failures": failures,
            "lessons": lessons,
            "quoted": "\n".join(
                [
                    quoted("issue", [issue.intent, *issue.examples]),
                    quoted("failures", failures),
                    quoted("lessons", lessons),
                ]
            ),
        }

    async def _failures(self, blueprint: str) -> list[str]:
        runs = await self._bench.host.runs("failed", limit=100)
        found = [run for run in runs if run.summary.blueprint == blueprint][:_TOLD]
        return [cleaned(str(await _error_of(run)))[:300] for run in found]


async def _error_of(run: Run) -> Any:
    outcome = await run.wait()
    return outcome.error
