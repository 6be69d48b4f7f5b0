"""Asking somebody about a step: over the operator link, or by a question of the run.

With a link, an order goes to the seat; the other side gives each key to an operator once,
so an attempt that is made again after a restart gets the answer that was given meanwhile.
Without one it is a durable question, which whoever has that role answers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.blueprint.fitting import mismatch
from swarm.ports.layer import LayerCall, LayerHost, shown
from swarm.ports.operators import Order, Reply
from swarm.ports.questions import Ask

__all__ = ("Deadline", "Seat", "consult", "reply_schema")

Seat = Annotated[str, Field(min_length=1, max_length=100)]
Deadline = Annotated[float, Field(gt=0, allow_inf_nan=False)]


async def consult(
    host: LayerHost, call: LayerCall, seat: str, order: Order, deadline_s: float | None
) -> Reply | None:
    """Ask who sits in *seat*; None: nobody answered in time.

    Raises: WorkerFailure (operator.reply), for a reply of another form; what the link raises.
    """
    if host.operators is None:
        return await _questioned(call, seat, order, deadline_s)
    if order.moment != "do":
        # Who does the work needs its input as it is; who looks at it does not.
        prompt, body = shown(call.link, order.prompt), shown(call.link, order.body)
        order = replace(order, prompt=prompt, body=body)
    reply: Reply | None = None
    async with call.link.held():
        with host.clock.deadline(deadline_s):
            reply = await host.operators.ask(seat, order, call.link)
    if reply is None or order.schema is None:
        return reply
    why = mismatch(order.schema, reply.value)
    if why is not None:
        said = f"{seat!r} on {call.agent!r}: expected a reply that fits its schema: {why}"
        raise WorkerFailure("operator.reply", said)
    return reply


async def _questioned(
    call: LayerCall, seat: str, order: Order, deadline_s: float | None
) -> Reply | None:
    ask = Ask(order.prompt, order.body, order.schema, seat, deadline_s)
    try:
        return Reply(await call.link.ask(ask))
    except WorkerFailure as failure:
        if failure.code != "question.expired":
            raise
        return None


def reply_schema(required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of a reply with these members, one of them required."""
    return {
        "type": "object",
        "properties": properties,
        "required": [required],
        "additionalProperties": False,
    }
