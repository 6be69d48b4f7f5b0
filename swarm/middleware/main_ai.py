"""`main_ai`: whoever leads a session looks at each piece of work before it begins and after it.

It may veto both, and change the input of what begins. Where it says nothing in time, the
layer does what it was told for that case.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from flowir.errors import WorkerFailure
from swarm.middleware.consult import Deadline, Seat, consult, reply_schema
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.operators import Order
from swarm.ports.worker import CostlyFailure, Outcome

__all__ = ("MAIN_AI", "MainAiLayer", "MainAiParams")

_VETO = {"type": "boolean"}
_TEXT = {"type": "string"}


class MainAiParams(LayerParams):
    """Who leads, at which moments it looks, and what silence means."""

    to: Seat
    before: bool = True
    after: bool = True
    deadline_s: Deadline = 60.0
    on_silence: Literal["veto", "allow"] = "veto"


class MainAiLayer:
    """Lets a leader look at one agent's work."""

    in_place: Final = True

    def __init__(self, params: MainAiParams, site: Site) -> None:
        self._params = params
        self._host = site.host

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, unless there is a veto."""
        if self._params.before:
            schema = reply_schema("veto", veto=_VETO, reason=_TEXT, input=True)
            said = await self._looked(call, "before", {"input": call.input}, schema)
            if "input" in said:
                call = call.with_input(said["input"])
        if not self._params.after:
            return await next(call)
        schema = reply_schema("veto", veto=_VETO, reason=_TEXT)
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            told = {"code": failure.code, "message": failure.message}
            await self._looked(call, "after", {"input": call.input, "failure": told}, schema)
            raise
        try:
            about = {"input": call.input, "value": outcome.value}
            await self._looked(call, "after", about, schema)
        except WorkerFailure as failure:
            raise CostlyFailure.of(failure, outcome.usage) from failure
        return outcome

    async def _looked(
        self, call: LayerCall, moment: Literal["before", "after"], body: Any, schema: Any
    ) -> dict[str, Any]:
        """Ask the leader, and return what it said.

        Raises: WorkerFailure (main_ai.vetoed), permanent.
        """
        params = self._params
        prompt = f"{call.agent} {'is to begin' if moment == 'before' else 'has ended'}: a veto?"
        key = f"{call.idempotency_key}/{moment}"
        order = Order(key, moment, call.agent, prompt, body, schema)
        reply = await consult(self._host, call, params.to, order, params.deadline_s)
        if reply is None:
            if params.on_silence == "allow":
                return {}
            reason = f"no answer within {params.deadline_s:g} s"
        elif not reply.value["veto"]:
            return reply.value
        else:
            reason = reply.value.get("reason") or "no reason was given"
        said = f"{params.to!r} vetoed {call.agent!r} {moment} its work: {reason}"
        raise WorkerFailure("main_ai.vetoed", said, True)


MAIN_AI = LayerFactory("main_ai", 30, MainAiParams, MainAiLayer, again="adds")
