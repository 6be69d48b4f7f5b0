"""The enhance loop's host: the agents of `blueprints/enhance.lua`, and the desk before it.

    enhancer    what an app makes, and asks
    issues      what somebody wants, as runs of the loop: taken in, listed, shown
    turns       one issue of a blueprint at a time
    proposing   asks the proposer
    making      what a proposal makes of a blueprint
    judging     verdicts, and the decision that follows
    approvals   what a senior says, as a token for one change
    committing  carries out what was found good
    canaries    tries it on a share of new runs, and takes it back where it falls behind
    replaying   goes through recorded runs with what is proposed
    switch      stops all of it

Each issue is a run of that blueprint, so its state is a reading of the journal, and a loop
that was killed goes on where it was. Nothing that the flow carries is believed: what is
decided and what is committed follows from the stored base, the operations and the policy,
worked out here again. Knows no blueprint by name: what is asked, proposed and judged is the
same for all.
"""

from __future__ import annotations

from swarm.host.enhance.bench import Cases, Proposer, loop_file
from swarm.host.enhance.enhancer import Enhancer
from swarm.host.enhance.issues import IssueState, IssueView

__all__ = ("Cases", "Enhancer", "IssueState", "IssueView", "Proposer", "loop_file")
