r"""The state of a machine as JSON, and back.

A machine at rest is lanes (instruction, context, registers), fans and fuel. Instructions
are written by name. Contexts of lanes share nearly everything, so a first walk counts
containers by identity; those met twice go to a heap and are written `{"\u0001": n}`. An
object of the author's that happens to look so is written `{"\u0001": [object]}`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flowir.errors import FlowError, ProtocolError
from flowir.joins import Fan
from flowir.lane import Lane
from flowir.path import format_path, parse_path
from flowir.wire import dump

if TYPE_CHECKING:
    from flowir.machine import Machine

__all__ = ("freeze", "thaw")

_VERSION = 1
_REF = "\u0001"
_CONTAINERS = (dict, list)


def freeze(machine: Machine) -> dict[str, Any]:
    """Write the state of a machine at rest."""
    lanes, fans = _reachable(machine)
    heap = _Heap(_roots(machine, lanes, fans))
    lane_ids = {id(lane): i for i, lane in enumerate(lanes)}
    fan_ids = {id(fan): i for i, fan in enumerate(fans)}
    writer = _Freezer(machine, heap, lane_ids, fan_ids)
    state = {
        "flowir": _VERSION,
        "flow": _fingerprint(machine),
        "fuel": machine.fuel,
        "started": machine.started,
        "ended": machine.ended,
        "cancelling": machine.cancelling,
        "late": dict(machine.late),
        "result": heap.put(machine.result) if machine.ended and not machine.error else None,
        "error": _error_out(machine.error),
        "lanes": [writer.lane(lane) for lane in lanes],
        "fans": [writer.fan(fan) for fan in fans],
        "pending": [lane_ids[id(lane)] for lane in machine.pending.values()],
    }
    state["heap"] = heap.cells
    return state


def thaw(machine: Machine, state: Mapping[str, Any]) -> None:
    """Put *machine*, freshly made, into a written state."""
    if state.get("flowir") != _VERSION:
        raise ProtocolError(
            f"restore: expected a snapshot of version {_VERSION}, got {state.get('flowir')!r}"
        )
    if state["flow"] != _fingerprint(machine):
        raise ProtocolError("restore: expected a snapshot of this flow, got one of another")
    _Thawer(machine, state).thaw()


def _fingerprint(machine: Machine) -> str:
    program = machine.program
    if program.fingerprint is None:
        text = json.dumps(dump(program.flow), sort_keys=True, ensure_ascii=False)
        program.fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return program.fingerprint


def _reachable(machine: Machine) -> tuple[list[Lane], list[Fan]]:
    """List the live lanes and fans, parents first."""
    lanes: list[Lane] = []
    fans: list[Fan] = []
    todo = [machine.main]
    while todo:
        lane = todo.pop()
        lanes.append(lane)
        if lane.waits is not None:
            fans.append(lane.waits)
            todo.extend(reversed(lane.waits.live.values()))
    return lanes, fans


def _roots(machine: Machine, lanes: list[Lane], fans: list[Fan]) -> Iterator[Any]:
    """Yield every value that the state holds."""
    if machine.ended and not machine.error:
        yield machine.result
    for lane in lanes:
        yield lane.ctx
        yield lane.base
        yield from (value for _, value in lane.log or ())
        yield from (reg[0] for reg in lane.regs if type(reg) is tuple)
    for fan in fans:
        yield fan.items
        yield fan.result
        yield from fan.values.values()


class _Heap:
    """Writes values; containers that are met twice go to `cells`."""

    def __init__(self, roots: Iterable[Any]) -> None:
        seen: dict[int, int] = {}
        todo = [root for root in roots if type(root) in _CONTAINERS]
        while todo:
            container = todo.pop()
            count = seen[id(container)] = seen.get(id(container), 0) + 1
            if count == 1:
                members = container.values() if type(container) is dict else container
                todo.extend(member for member in members if type(member) in _CONTAINERS)
        self.shared = {key for key, count in seen.items() if count > 1}
        self.numbers: dict[int, int] = {}
        self.cells: list[Any] = []

    def put(self, value: Any) -> Any:
        if type(value) not in _CONTAINERS:
            return value
        if id(value) not in self.shared:
            return self._body(value)
        number = self.numbers.get(id(value))
        if number is None:
            body = self._body(value)
            number = self.numbers[id(value)] = len(self.cells)
            self.cells.append(body)
        return {_REF: number}

    def _body(self, value: Any) -> Any:
        if type(value) is list:
            return [self.put(item) for item in value]
        body = {key: self.put(item) for key, item in value.items()}
        return {_REF: [body]} if _looks_like_ref(value) else body


def _looks_like_ref(value: dict[str, Any]) -> bool:
    return len(value) == 1 and _REF in value


class _Cells:
    """Reads values that a heap wrote."""

    def __init__(self, cells: list[Any]) -> None:
        self.cells: list[Any] = []
        for cell in cells:
            self.cells.append(self.get(cell))

    def get(self, value: Any) -> Any:
        if type(value) is list:
            return [self.get(item) for item in value]
        if type(value) is not dict:
            return value
        if _looks_like_ref(value):
            found = value[_REF]
            if type(found) is int:
                return self.cells[found]
            value = found[0]
        return {key: self.get(item) for key, item in value.items()}


class _Freezer:
    """Writes lanes and fans."""

    def __init__(
        self, machine: Machine, heap: _Heap, lanes: dict[int, int], fans: dict[int, int]
    ) -> None:
        self.meta = machine.program.meta
        self.put = heap.put
        self.lanes = lanes
        self.fans = fans

    def lane(self, lane: Lane) -> dict[str, Any]:
        put = self.put
        return {
            "op": None if lane.op is None else self.meta[lane.op].name,
            "ctx": put(lane.ctx),
            "regs": [self._register(reg) for reg in lane.regs],
            "prefix": lane.prefix,
            "fan": None if lane.fan is None else self.fans[id(lane.fan)],
            "index": lane.index,
            "key": lane.key,
            "attempt": lane.attempt,
            "waits": None if lane.waits is None else self.fans[id(lane.waits)],
            "size": lane.size,
            "depth": lane.depth,
            "base": put(lane.base),
            "log": None
            if lane.log is None
            else [[format_path(path), put(value)] for path, value in lane.log],
            "parked": lane.parked,
        }

    def _register(self, reg: Any) -> Any:
        if isinstance(reg, FlowError):
            return {"error": _error_out(reg)}
        if type(reg) is tuple:
            return {"saved": self.put(reg[0])}
        return reg

    def fan(self, fan: Fan) -> dict[str, Any]:
        put = self.put
        return {
            "lane": self.lanes[id(fan.lane)],
            "join": fan.join,
            "items": put(fan.items),
            "limit": fan.limit,
            "quorum": fan.quorum,
            "next": fan.next,
            "prefix": fan.prefix,
            "body": fan.body,
            "live": [[i, self.lanes[id(lane)]] for i, lane in fan.live.items()],
            "values": [[i, put(value)] for i, value in fan.values.items()],
            "errors": [[i, _error_out(error)] for i, error in fan.errors.items()],
            "size": fan.size,
            "depth": fan.depth,
            "decided": fan.decided,
            "result": put(fan.result),
            "error": _error_out(fan.error),
            "wound_up": fan.wound_up,
        }


class _Thawer:
    """Reads a state back into a machine."""

    def __init__(self, machine: Machine, state: Mapping[str, Any]) -> None:
        self.machine = machine
        self.state = state
        self.get = _Cells(state["heap"]).get
        self.named = machine.program.named

    def thaw(self) -> None:
        state, machine = self.state, self.machine
        lanes = [self._lane(record) for record in state["lanes"]]
        fans = [self._fan(record, lanes) for record in state["fans"]]
        for lane, record in zip(lanes, state["lanes"], strict=True):
            lane.fan = None if record["fan"] is None else fans[record["fan"]]
            lane.waits = None if record["waits"] is None else fans[record["waits"]]
        machine.main = lanes[0]
        machine.pending = {str(lanes[i].key): lanes[i] for i in state["pending"]}
        machine.late = dict(state["late"])
        machine.fuel = state["fuel"]
        machine.started = state["started"]
        machine.cancelling = state["cancelling"]
        if state["error"] is not None:
            machine.fail(_error_in(state["error"]))
        elif state["ended"]:
            machine.finish(self.get(state["result"]))

    def _lane(self, record: Mapping[str, Any]) -> Lane:
        op = None if record["op"] is None else self.named[record["op"]]
        regs = [self._register(reg) for reg in record["regs"]]
        lane = Lane(self.machine, op, self.get(record["ctx"]), regs, record["prefix"])
        for name in ("index", "key", "attempt", "size", "depth", "parked"):
            setattr(lane, name, record[name])
        lane.base = self.get(record["base"])
        if record["log"] is not None:
            lane.log = [(parse_path(path), self.get(value)) for path, value in record["log"]]
        return lane

    def _register(self, reg: Any) -> Any:
        if type(reg) is not dict:
            return reg
        return _error_in(reg["error"]) if "error" in reg else (self.get(reg["saved"]),)

    def _fan(self, record: Mapping[str, Any], lanes: list[Lane]) -> Fan:
        fan = Fan(
            lanes[record["lane"]],
            record["join"],
            self.get(record["items"]),
            record["limit"],
            record["quorum"],
        )
        for name in ("next", "prefix", "body", "size", "depth", "decided", "wound_up"):
            setattr(fan, name, record[name])
        fan.start = self.named[f"{fan.body}:start"]
        fan.live = {i: lanes[n] for i, n in record["live"]}
        fan.values = {i: self.get(value) for i, value in record["values"]}
        fan.errors = {i: _error_in(error) for i, error in record["errors"]}
        fan.result = self.get(record["result"])
        fan.error = None if record["error"] is None else _error_in(record["error"])
        return fan


def _error_out(error: BaseException | None) -> dict[str, Any] | None:
    if not isinstance(error, FlowError):
        return None
    return {
        **error.to_json(),
        "permanent": error.permanent,
        "cause": _error_out(error.__cause__),
    }


def _error_in(record: Mapping[str, Any]) -> FlowError:
    error = FlowError(**{k: v for k, v in record.items() if k != "cause"})
    if record["cause"] is not None:
        error.__cause__ = _error_in(record["cause"])
    return error
