"""The closed list of what can be done to a host, and the default table of who may do it.

Both are data. A verb is about the whole host, about one run, or about one attempt of one
step; a grant that is bound to a run reaches only acts on that run, so none on the host.

The duties are apart on purpose: who mints tokens (admin) approves no patches and answers
no questions, and who does steps (worker) starts no runs but his own children.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from flowir.report import nearest
from swarm.errors import Refused

__all__ = (
    "MAX_DEPTH",
    "MAX_TTL_S",
    "PURPOSES",
    "PURPOSE_OF",
    "ROLES",
    "SKEW_S",
    "TABLE",
    "VERBS",
    "Purpose",
    "Role",
    "Table",
    "altered",
    "table_rows",
)

Role: TypeAlias = Literal["worker", "observer", "operator", "senior", "admin"]
Purpose: TypeAlias = Literal["worker", "operator", "approve"]
Table: TypeAlias = Mapping[str, frozenset[str]]

# How often a grant may hand on: agents that call each other, children of runs, child tokens.
MAX_DEPTH: Final = 8
# How far the clocks of a host and of whoever minted a token may be apart.
SKEW_S: Final = 5

VERBS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "run.start": "start a run of a blueprint",
        "run.list": "list runs",
        "run.read": "see a run, its events and its end",
        "run.pause": "let a run rest",
        "run.resume": "go on with a run that rests",
        "run.cancel": "end a run for good",
        "run.rerun": "repeat a run from a step on",
        "run.forget": "remove runs that have ended",
        "question.read": "see what runs ask of people",
        "question.answer": "answer a question",
        "output.read": "read kept outputs of runs",
        "blueprint.read": "list and show versions",
        "blueprint.register": "add a version",
        "blueprint.tag": "name a version",
        "blueprint.rollback": "make an earlier version the current one",
        "operator.connect": "join as an operator",
        "seat.take": "take an operator's seat",
        "step.take": "take a step to do",
        "step.read": "read a step's input",
        "step.progress": "tell how far a step is",
        "step.part": "hand over an artifact",
        "step.result": "answer a step",
        "step.fail": "fail a step",
        "step.call": "let another agent do something within a step",
        "step.ask": "ask a person within a step",
        "step.spawn": "start a run within a step",
        "enhance.submit": "propose a change of a blueprint",
        "enhance.read": "see proposals",
        "enhance.approve": "approve a proposal",
        "enhance.reject": "reject a proposal",
        "enhance.freeze": "stop the loop of improvement, or let it go on",
        "audit.read": "read the audit log",
        "audit.prove": "make proofs and checkpoints of the audit log",
        "token.delegate": "mint a token with fewer rights than one's own",
        "token.mint": "mint any token",
        "token.revoke": "revoke tokens",
        "token.rotate": "replace the signing key",
        "host.read": "see how the host is",
        "host.backup": "copy the store",
        "host.stop": "end the host",
    }
)

_SEES = frozenset({"run.list", "run.read", "question.read", "output.read", "blueprint.read",
                   "enhance.read", "host.read"})  # fmt: skip
_STEPS = frozenset({"step.read", "step.progress", "step.part", "step.result", "step.fail"})
_OPERATES = _SEES | _STEPS | {"run.start", "run.pause", "run.resume", "run.cancel", "run.rerun",
                              "question.answer", "operator.connect", "seat.take", "step.take",
                              "enhance.submit", "token.delegate"}  # fmt: skip

TABLE: Final[Table] = MappingProxyType(
    {
        "worker": _STEPS
        | {"step.call", "step.ask", "step.spawn", "output.read", "token.delegate"},
        "observer": _SEES,
        "operator": _OPERATES,
        "senior": _OPERATES
        | {"blueprint.register", "blueprint.tag", "blueprint.rollback", "run.forget",
           "enhance.approve", "enhance.reject", "enhance.freeze", "audit.read", "audit.prove"},
        "admin": _SEES
        | {"run.pause", "run.cancel", "run.forget", "audit.read", "audit.prove", "token.mint",
           "token.revoke", "token.rotate", "host.backup", "host.stop"},
    }
)  # fmt: skip

ROLES: Final = tuple(TABLE)

# A token is signed for one purpose, so that one for steps is nothing at a desk.
PURPOSE_OF: Final[Mapping[str, Purpose]] = MappingProxyType(
    {
        "worker": "worker",
        "observer": "operator",
        "operator": "operator",
        "senior": "approve",
        "admin": "approve",
    }
)
PURPOSES: Final[tuple[Purpose, ...]] = ("worker", "operator", "approve")

# The longest that a token of a role may live, however it was signed.
MAX_TTL_S: Final[Mapping[str, int]] = MappingProxyType(
    {
        "worker": 1_800,
        "observer": 43_200,
        "operator": 43_200,
        "senior": 86_400,
        "admin": 3_600,
    }
)


def altered(rows: Mapping[str, Collection[str]]) -> Table:
    """Return the default table with some rows replaced.

    Raises: Refused (capability.table), for a role or a verb that there is not.
    """
    for role, verbs in rows.items():
        if role not in TABLE:
            raise _unknown("role", role, TABLE)
        for verb in verbs:
            if verb not in VERBS:
                raise _unknown("verb", verb, VERBS)
    return MappingProxyType({**TABLE, **{role: frozenset(v) for role, v in rows.items()}})


def table_rows(table: Table = TABLE) -> list[tuple[str, ...]]:
    """Return the table for print: a verb each row, a role each column, `x` where it may."""
    head = ("verb", *table, "does")
    marks = [
        (verb, *("x" if verb in table[role] else "-" for role in table), does)
        for verb, does in VERBS.items()
    ]
    return [head, *marks]


def _unknown(what: str, got: str, known: Mapping[str, object]) -> Refused:
    near = nearest(got, known)
    hint = f" — {near}" if near else ""
    return Refused("capability.table", f"roles: expected a {what} that there is, got {got!r}{hint}")
