"""Verdicts that a flow compares with words: words that nobody says, words that nobody hears.

One walk in program order follows every answer of an agent with verdicts: to where it is
stored, through what is assigned from it, into lists and out of them. Where such a value is
compared with a word, the word must be one of the agent's (`verdict.unknown`). Where branches
go by some of an agent's words, none of them has an otherwise, and a word of the agent stands
in no comparison of the whole flow, nobody hears it (`verdict.unhandled`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowir.certain import Certainty
from flowir.errors import Problem
from flowir.nodes import (
    QUANTIFIERS,
    Assign,
    Branch,
    Expr,
    Fanout,
    Flow,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    children,
    subexpressions,
)
from flowir.path import Path, Segment, parse_path
from flowir.records import dataclass
from swarm.blueprint.verdicts import one_of_words, word_fault
from swarm.blueprint.words import near
from swarm.compiler.knowledge import (
    ABSENT,
    Absent,
    Answer,
    Each,
    Fields,
    Known,
    State,
    Words,
    join,
    member,
)

__all__ = ("verdict_problems",)

# A loop within a loop is walked again for each round of the outer, and each node costs as
# many places as are known then: flows beyond this much are not judged any further.
_WORK = 5_000_000
_ROUNDS = 4
_SCALARS = (str, int, float, bool, type(None))
_Env = Mapping[str, Known]


def verdict_problems(flow: Flow, verdicts: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    """Find what is wrong with how a flow goes by verdicts; *verdicts* by agent."""
    walk = _Walk(verdicts, _tracked(flow.root, verdicts))
    try:
        walk.visit(flow.root, "$", State())
    except _TooLong:
        return
    yield from walk.unknown.values()
    yield from walk.unhandled()


class _TooLong(Exception):
    """The flow is too much to follow."""


@dataclass(frozen=True, slots=True)
class _Cover:
    """Where a condition goes by a verdict: of whom, by which words, and which let it be."""

    agents: frozenset[str]
    words: frozenset[Any]


@dataclass(frozen=True, slots=True)
class _Chain:
    """Branches that go by verdicts of *agents*, without an otherwise; *heard* are the words."""

    at: str
    agents: frozenset[str]
    heard: frozenset[Any]


class _Walk:
    def __init__(self, verdicts: Mapping[str, tuple[str, ...]], tracked: frozenset[Any]) -> None:
        self.unknown: dict[str, Problem] = {}
        self._verdicts = verdicts
        self._tracked = tracked
        self._heard: dict[str, set[Any]] = {}
        self._chains: list[_Chain] = []
        self._certain = Certainty()
        self._quiet = 0
        self._spent = 0

    # -- nodes ---------------------------------------------------------------------------

    def visit(self, node: Node, at: str, state: State, *, is_else: bool = False) -> None:
        """Follow a node; *state* is what is known before it, and after it."""
        self._spent += 10 + len(state)
        if self._spent > _WORK:
            raise _TooLong
        match node:
            case Step():
                self.value(node.in_, f"{at}.in", state, {})
                words = self._verdicts.get(node.ref)
                answer = None if words is None else Answer(_words(words, node.ref))
                self._write(state, node.out, answer)
            case Assign():
                self._write(state, node.at, self.value(node.value, f"{at}.value", state, {}))
            case Seq():
                for i, child in enumerate(node.children):
                    self.visit(child, f"{at}.children[{i}]", state, is_else=is_else)
            case Branch():
                self._branch(node, at, state, is_else=is_else)
            case Loop():
                self._loop(node, at, state)
            case Fanout():
                self._fanout(node, at, state)
            case Try():
                self._try(node, at, state)

    def _branch(self, node: Branch, at: str, state: State, *, is_else: bool) -> None:
        self.value(node.cond, f"{at}.cond", state, {})
        if not is_else and not self._quiet:
            self._chain(node, at, state)
        other = state.copy()
        self.visit(node.then, f"{at}.then", state)
        if node.else_ is not None:
            link = _branch_of(node.else_) is not None
            self.visit(node.else_, f"{at}.else", other, is_else=link)
        if self._certain.fails(node.then):
            state.become(other)
        elif node.else_ is None or not self._certain.fails(node.else_):
            state.become(state.merged(other))

    def _loop(self, node: Loop, at: str, state: State) -> None:
        self._write(state, node.counter, None)
        self._quiet += 1
        for _ in range(_ROUNDS):
            round_ = state.copy()
            self.visit(node.body, f"{at}.body", round_)
            merged = state.merged(round_)
            if merged == state:
                break
            state.become(merged)
        else:
            # A word that goes from place to place may not have come to all of them yet.
            state.forget()
        self._quiet -= 1
        self.value(node.cond, f"{at}.cond", state, {})
        if not self._quiet:
            self.visit(node.body, f"{at}.body", state.copy())
        self._write(state, node.exhausted_at, None)

    def _fanout(self, node: Fanout, at: str, state: State) -> None:
        items = self.value(node.items, f"{at}.items", state, {})
        for name in ("limit", "quorum"):
            count: Any = getattr(node, name)
            if count is not None and not isinstance(count, int):
                self.value(count, f"{at}.{name}", state, {})
        lane = state.copy()
        self._write(lane, node.bind, items.item if isinstance(items, Each) else None)
        self._write(lane, node.index, None)
        self.visit(node.body, f"{at}.body", lane)
        value: Known = lane.read(())
        if node.collect is not None:
            value = self.value(node.collect, f"{at}.collect", lane, {})
        if isinstance(value, Absent):
            value = None
        if node.join == "all":
            value = Each(value)
        elif node.join not in ("any", "race"):
            value = Each(Fields((("value", value),))) if node.join == "all_settled" else None
        self._write(state, node.out, value)

    def _try(self, node: Try, at: str, state: State) -> None:
        before = state.copy()
        self.visit(node.body, f"{at}.body", state)
        caught = before if node.restore else before.merged(state)
        self._write(caught, node.err_at, None)
        self._write(caught, node.error_at, None)
        self.visit(node.catch, f"{at}.catch", caught)
        if not self._certain.fails(node.catch):
            state.become(state.merged(caught))
        if node.finally_ is not None:
            self.visit(node.finally_, f"{at}.finally", state)

    def _write(self, state: State, path: Path | None, known: Known) -> None:
        if path is None:
            return
        way = path.segments
        if way and _stem(way) not in self._tracked and not isinstance(known, (Answer, Each)):
            return
        state.write(way, None if isinstance(known, Absent) else known)

    # -- branches that go by words ---------------------------------------------------------

    def _chain(self, node: Branch, at: str, state: State) -> None:
        """Note which words a chain of branches hears, if it has no otherwise."""
        covers: dict[frozenset[str], set[Any]] = {}
        link: Node | None = node
        while link is not None:
            branch = _branch_of(link)
            if branch is None:
                return  # that is the otherwise
            cover = self._cover(branch.cond, state)
            if cover is not None:
                covers.setdefault(cover.agents, set()).update(cover.words)
            link = branch.else_
        for agents, words in covers.items():
            self._chains.append(_Chain(f"{at}.cond", agents, frozenset(words)))

    def _cover(self, cond: Expr, state: State) -> _Cover | None:
        """Return by which words of whom a condition goes, and so does something for them."""
        match cond["op"]:
            case "eq" | "ne" | "in":
                known, words = self._compared(cond, state, {}, among=False)
                if known is None or not known.agents or words is None:
                    return None
                heard = frozenset(word for _, word in words)
                if cond["op"] == "ne":
                    heard = known.words - heard
                return _Cover(known.agents, heard)
            case "not":
                inner = self._cover(cond["arg"], state)
                if inner is None:
                    return None
                return _Cover(inner.agents, self._all_words(inner.agents) - inner.words)
            case "and" | "or":
                found = [self._cover(arg, state) for arg in cond["args"]]
                covers = [cover for cover in found if cover is not None]
                if not covers or len({cover.agents for cover in covers}) > 1:
                    return covers[0] if covers else None
                words = frozenset().union(*(cover.words for cover in covers))
                return _Cover(covers[0].agents, words)
            case _:
                return None

    def _all_words(self, agents: frozenset[str]) -> frozenset[Any]:
        return frozenset(("str", word) for name in agents for word in self._verdicts[name])

    def unhandled(self) -> Iterator[Problem]:
        """Find the words of agents that chains go by, and that nothing in the flow hears."""
        told: set[str] = set()
        for chain in self._chains:
            heard = chain.heard.union(*(self._heard.get(name, ()) for name in chain.agents))
            for name in sorted(chain.agents - told):
                left = [w for w in self._verdicts[name] if ("str", w) not in heard]
                if left:
                    told.add(name)
                    said = f"expected a branch for {one_of_words(left)} of {name!r}, got none"
                    hint = (
                        "add an otherwise (an else), or on this line the comment "
                        "'allow: verdict.unhandled'"
                    )
                    yield Problem("verdict.unhandled", chain.at, said, hint)

    # -- expressions -------------------------------------------------------------------------

    def value(self, expr: Expr, at: str, state: State, env: _Env) -> Known:
        """Return what is known of an expression's value, and judge its comparisons."""
        if expr["op"] in ("eq", "ne", "in"):
            self._judge(expr, at, state, env)
        match expr["op"]:
            case "lit":
                return _literal(expr["value"])
            case "path":
                return self._read(parse_path(expr["at"]), state, env)
            case "default":
                first = self.value(expr["arg"], f"{at}.arg", state, env)
                return join(first, self.value(expr["fallback"], f"{at}.fallback", state, env))
            case "if":
                self.value(expr["cond"], f"{at}.cond", state, env)
                then = self.value(expr["then"], f"{at}.then", state, env)
                return join(then, self.value(expr["else"], f"{at}.else", state, env))
            case "get":
                of = self.value(expr["of"], f"{at}.of", state, env)
                self.value(expr["key"], f"{at}.key", state, env)
                key = expr["key"].get("value") if expr["key"]["op"] == "lit" else None
                return member(of, key) if isinstance(key, (str, int)) else _any_item(of)
            case "object":
                fields = expr["fields"].items()
                made = [
                    (name, self.value(e, f"{at}.fields.{name}", state, env)) for name, e in fields
                ]
                return Fields(tuple((n, None if isinstance(k, Absent) else k) for n, k in made))
            case "array":
                items = [
                    self.value(e, f"{at}.items[{i}]", state, env)
                    for i, e in enumerate(expr["items"])
                ]
                return _alike(items)
            case "call_extern":
                return self._called(expr, at, state, env)
            case op if op in QUANTIFIERS:
                return self._quantified(expr, at, state, env)
            case _:
                for rest, inner in subexpressions(expr):
                    self.value(inner, at + rest, state, env)
                return None

    def _read(self, path: Path, state: State, env: _Env) -> Known:
        if path.root is None:
            known = state.read(path.segments)
            # Where no verdict ever comes to, a run may have been given anything.
            given = isinstance(known, Absent) and _stem(path.segments) not in self._tracked
            return None if given else known
        known = env.get(path.root)
        for segment in path.segments:
            known = member(known, segment)
        return known

    def _called(self, expr: Expr, at: str, state: State, env: _Env) -> Known:
        for rest, inner in subexpressions(expr):
            self.value(inner, at + rest, state, env)
        args = expr["args"]
        if expr["ref"] == "object.without" and len(args) == 2 and args[1]["op"] == "lit":
            whole = args[0]["op"] == "path" and parse_path(args[0]["at"]).segments == ()
            if whole and isinstance(args[1]["value"], str):
                return Fields(tuple(state.without(args[1]["value"])))
        return None

    def _quantified(self, expr: Expr, at: str, state: State, env: _Env) -> Known:
        over = self.value(expr["over"], f"{at}.over", state, env)
        item = over.item if isinstance(over, Each) else None
        inner = {**env, expr["bind"]: item, f"{expr['bind']}_index": None}
        value = self.value(expr["body"], f"{at}.body", state, inner)
        if expr["op"] == "filter":
            return over
        return Each(value) if expr["op"] == "map" and not isinstance(value, Absent) else None

    def _compared(
        self, expr: Expr, state: State, env: _Env, *, among: bool = True
    ) -> tuple[Words | None, list[tuple[str, Any]] | None]:
        """Return the verdict that a comparison is about, and the words it is compared with.

        Shape: the words with the rest of their places; *among*: also where it is asked
        whether a word is among several verdicts, which goes by none of them alone.
        """
        names = ("needle", "haystack") if expr["op"] == "in" else ("lhs", "rhs")
        for name, other in (names, names[::-1]):
            words = list(_constants(expr[other], other, many=other == "haystack"))
            if words and (among or name != "haystack"):
                self._quiet += 1
                known = self.value(expr[name], "", state, env)
                self._quiet -= 1
                if name == "haystack":
                    known = _any_item(known)
                if isinstance(known, Answer):
                    known = known.verdict
                return known if isinstance(known, Words) else None, words
        return None, None

    def _judge(self, expr: Expr, at: str, state: State, env: _Env) -> None:
        if self._quiet:
            return
        known, words = self._compared(expr, state, env)
        if known is None or not known.agents or words is None:
            return
        for rest, word in words:
            meant = near(word[1], self._said_by(known)) if isinstance(word[1], str) else None
            for name in known.agents:
                # A misspelt word is one mistake: the one that was meant is heard.
                self._heard.setdefault(name, set()).update({word, ("str", meant)})
            place = f"{at}.{rest}"
            if word not in known.words and place not in self.unknown:
                whose = " and ".join(map(repr, sorted(known.agents)))
                said = word_fault(word[1], self._said_by(known), f", a verdict of {whose},")
                self.unknown[place] = Problem("verdict.unknown", place, *said)

    def _said_by(self, known: Words) -> list[str]:
        """Return the words among those known that are verdicts."""
        said = self._all_words(known.agents) & known.words
        return sorted(word for _, word in said)


def _words(words: tuple[str, ...], agent: str) -> Words:
    return Words(frozenset(("str", word) for word in words), frozenset({agent}))


def _word(value: Any) -> tuple[str, Any]:
    kind = "number" if type(value) in (int, float) else type(value).__name__
    return kind, value


def _literal(value: Any) -> Known:
    if isinstance(value, _SCALARS):
        return Words(frozenset({_word(value)}))
    if type(value) is dict:
        members: Mapping[str, Any] = value
        return Fields(tuple((name, _literal(inner)) for name, inner in members.items()))
    items: list[Any] = value
    return _alike([_literal(item) for item in items])


def _alike(items: list[Known]) -> Known:
    known: Known = ABSENT
    for item in items:
        known = join(known, None if isinstance(item, Absent) else item)
    return Each(known) if items else Each(ABSENT)


def _any_item(known: Known) -> Known:
    return known.item if isinstance(known, Each) else None


def _constants(expr: Expr, at: str, *, many: bool) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield the words that one side of a comparison is, with the rest of their places."""
    if expr["op"] == "lit":
        value: Any = expr["value"]
        values: list[Any] = value if many and type(value) is list else [value]
        yield from ((at, _word(one)) for one in values if isinstance(one, _SCALARS))
    elif many and expr["op"] == "array":
        for i, item in enumerate(expr["items"]):
            yield from _constants(item, f"{at}.items[{i}]", many=False)


def _branch_of(node: Node) -> Branch | None:
    """Return the branch that goes on with a chain: itself, or what is computed for it first."""
    if isinstance(node, Branch):
        return node
    if isinstance(node, Seq) and node.children and isinstance(node.children[-1], Branch):
        first = node.children[:-1]
        if not first or (node.implicit and all(isinstance(n, (Step, Assign)) for n in first)):
            return node.children[-1]
    return None


# -- which members of the context matter -------------------------------------------------------


def _stem(way: tuple[Segment, ...]) -> Any:
    """Return the member of the context in which a place lies; locals count one by one."""
    return way[:2] if way[:1] == ("__",) else way[:1]


def _tracked(root: Node, verdicts: Mapping[str, Any]) -> frozenset[Any]:
    """Return the members of the context that may come to hold a verdict."""
    moves: list[tuple[set[Any], Any]] = []
    found: set[Any] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        todo += (child for _, child in children(node))
        if isinstance(node, Step) and node.ref in verdicts and node.out is not None:
            found.add(_stem(node.out.segments))
        elif isinstance(node, Assign):
            moves.append((_stems(node.value), _stem(node.at.segments)))
        elif isinstance(node, Fanout):
            inner = {("*",)} if node.collect is None else _stems(node.collect)
            moves.append((inner, _stem(node.out.segments)))
            moves.append((_stems(node.items), _stem(node.bind.segments)))
    grown = True
    while grown and found:
        new = {to for froms, to in moves if (froms & found or ("*",) in froms) and to not in found}
        grown = bool(new)
        found |= new
    return frozenset(found)


def _stems(expr: Expr) -> set[Any]:
    found: set[Any] = set()
    todo = [expr]
    while todo:
        here = todo.pop()
        todo += (inner for _, inner in subexpressions(here))
        if here["op"] == "path":
            path = parse_path(here["at"])
            if path.root is None:
                found.add(_stem(path.segments) or ("*",))
    return found
