"""Proposers of changes that answer what a test wrote down."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterable
from typing import Any

from swarm.errors import Refused

__all__ = ("ScriptedProposer",)


class ScriptedProposer:
    """Proposes in the order written down, whatever the issue is.

    >>> fix = {"ops": [{"op": "add", "path": "/description", "value": "b"}], "rationale": "r"}
    >>> proposer = ScriptedProposer([fix, ConnectionError("away")])

    Shape: an exception is raised, a function is given what a proposer is given (and may be
    async), anything else is the answer: an object, or its JSON. `asked` holds what the
    proposer was given. With *again* the last answer is given from then on; without it one
    issue more is refused (enhance.not_understood).
    """

    def __init__(self, script: Iterable[Any], *, again: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = deque(script)
        self._again = again

    async def __call__(self, asked: dict[str, Any]) -> Any:
        """Answer with a proposal."""
        self.asked.append(asked)
        answer = self._next()
        if callable(answer):
            answer = answer(asked)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _next(self) -> Any:
        if self._again and len(self._answers) == 1:
            return self._answers[0]
        if not self._answers:
            said = f"expected {len(self.asked) - 1} issues as written down, got one more"
            raise Refused("enhance.not_understood", said)
        return self._answers.popleft()
