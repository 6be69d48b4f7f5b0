"""`delegate`: an agent's steps are done by an operator instead of its worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from flowir.errors import WorkerFailure
from swarm.middleware.consult import Deadline, Seat, consult
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.operators import Order
from swarm.ports.worker import FieldProblem, Outcome

__all__ = ("DELEGATE", "DelegateLayer", "DelegateParams")


class DelegateParams(LayerParams):
    """Who does the work, what they are told, and what becomes of it without them.

    Shape: without a prompt it is the agent's description, else its name; at the deadline the
    step fails, or the agent's own worker is asked (`agent`).
    """

    to: Seat
    prompt: str | None = None
    deadline_s: Deadline | None = None
    on_deadline: Literal["fail", "agent"] = "fail"


class DelegateLayer:
    """Hands one agent's work to who sits in a seat."""

    in_place: Final = True

    def __init__(self, params: DelegateParams, site: Site) -> None:
        self._params = params
        self._host = site.host
        agent = site.agent
        self._prompt = params.prompt or agent.settings.get("description") or agent.name

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Let an operator do it."""
        params = self._params
        order = Order(call.idempotency_key, "do", call.agent, self._prompt, call.input)
        reply = await consult(self._host, call, params.to, order, params.deadline_s)
        if reply is not None:
            return Outcome(reply.value)
        if params.on_deadline == "agent":
            await call.link.progress(f"delegate: {params.to} did not answer, the agent is asked")
            return await next(call)
        said = f"{call.agent!r}: expected {params.to!r} to do it in time, got nothing"
        raise WorkerFailure("delegate.silent", said)


def _problems(params: DelegateParams, site: Site) -> Iterable[FieldProblem]:
    if params.on_deadline == "agent" and params.deadline_s is None:
        said = "expected seconds, for on_deadline 'agent', got none"
        yield FieldProblem("layer.field_missing", "deadline_s", said)


DELEGATE = LayerFactory("delegate", 98, DelegateParams, DelegateLayer, problems=_problems)
