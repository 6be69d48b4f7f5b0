"""A record is what the standard library makes of the same class, whatever is done with it."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from dataclasses import dataclass as standard
from typing import Any

import pytest

from flowir.records import dataclass as ours

Make = Callable[..., Callable[[type], Any]]


def _point(make: Make) -> Any:
    class Point:
        """Two numbers."""

        x: int
        y: int = 2

    return make(frozen=True, slots=True)(Point)


def _bag(make: Make) -> Any:
    class Bag:
        name: str
        secret: str = field(default="s", repr=False)
        seen: list[int] = field(default_factory=list[int], compare=False)
        made: str = field(default="made", init=False)
        later: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "later", len(self.name))

    return make(frozen=True, slots=True)(Bag)


def _named(make: Make) -> Any:
    class Named:
        a: int = 1
        b: int

    return make(frozen=True, slots=True, kw_only=True)(Named)


def _open(make: Make) -> Any:
    class Open:
        a: int
        b: list[int] = field(default_factory=list[int])

    return make(slots=True)(Open)


def _own(make: Make) -> Any:
    class Own:
        a: int

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    return make(frozen=True, slots=True)(Own)


def _same(make: Make) -> Any:
    class Same:
        a: int

    return make(slots=True, eq=False)(Same)


def _derived(make: Make) -> Any:
    class Base:
        a: int
        b: int = 2

    base = make(frozen=True, slots=True)(Base)

    class Derived(base):
        c: int = 3

    return make(frozen=True, slots=True)(Derived)


def _empty(make: Make) -> Any:
    class Empty:
        pass

    return make(frozen=True, slots=True)(Empty)


CLASSES: list[Callable[[Make], Any]] = [
    _point, _bag, _named, _open, _own, _same, _derived, _empty,
]  # fmt: skip
CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}), ((1,), {}), ((1, 5), {}), (("name",), {}), ((1, 2, 3), {}), ((), {"b": 4}),
    ((), {"a": 1, "b": 4}), ((1,), {"nothing": 1}), ((), {"x": 3}), ((1, 2, 3, 4, 5), {}),
]  # fmt: skip


def _matched(made: Any) -> Any:
    return type(made).__match_args__


def _slots(made: Any) -> Any:
    return type(made).__slots__, hasattr(made, "__dict__")


ACTS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "asdict": asdict,
    "hash": lambda made: type(made).__hash__ is None or hash(made) == hash(copy.copy(made)),
    "equal": lambda made: (made == copy.copy(made), made != copy.copy(made), made == 1),
    "copied": lambda made: asdict(copy.deepcopy(made)),
    "first assigned": lambda made: setattr(made, fields(made)[0].name, 9),
    "first deleted": lambda made: delattr(made, fields(made)[0].name),
    "replaced": lambda made: asdict(replace(made, **{fields(made)[0].name: 8})),
    "no such field": lambda made: replace(made, nothing=1),
    "slots": _slots,
    "matched": _matched,
    "signature": lambda made: str(inspect.signature(type(made))),
    "annotations": lambda made: type(made).__init__.__annotations__,
    "named": lambda made: (type(made).__init__.__name__, type(made).__name__),
}


def _outcome(cls: Any, act: Callable[[Any], Any], given: tuple[Any, ...], named: Any) -> Any:
    try:
        return act(cls(*given, **named))
    except (TypeError, AttributeError, ValueError, IndexError) as e:
        return type(e), str(e).rpartition(".")[2]


@pytest.mark.parametrize("built", CLASSES, ids=lambda built: built.__name__)
@pytest.mark.parametrize("act", ACTS)
def test_a_record_does_what_the_standard_library_does(
    built: Callable[[Make], Any], act: str
) -> None:
    made = 0
    for given, named in CALLS:
        said = [_outcome(cls, ACTS[act], given, named) for cls in (built(ours), built(standard))]
        assert said[0] == said[1], (given, named)
        made += not (isinstance(said[1], tuple) and said[1][:1] == (TypeError,))
    assert made or act in ("first assigned", "no such field", "replaced", "first deleted")


@ours(frozen=True, slots=True)
class Kept:
    """Something at the top of a module, where pickles find it."""

    a: int
    b: tuple[int, ...] = ()


def test_a_record_survives_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, (2,)))) == Kept(1, (2,))  # noqa: S301


def test_what_is_frozen_says_so_of_members_and_of_what_is_none() -> None:
    for name in ("a", "nothing"):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(Kept(1), name, 2)


def test_a_class_that_nobody_described_is_described_by_its_name() -> None:
    assert [_point(ours).__doc__, _open(ours).__doc__] == ["Two numbers.", "Open"]


def test_a_plain_class_that_is_derived_has_members_of_its_own() -> None:
    class Plain(Kept):
        pass

    made = Plain(1)
    made.__setattr__("other", 3)
    assert vars(made) == {"other": 3}
    with pytest.raises(FrozenInstanceError):
        made.__setattr__("a", 3)


def test_methods_are_compiled_when_the_first_object_is_made() -> None:
    """The whole point: of a class that is not used, no source is written."""
    program = (
        "import builtins\n"
        "counted = []\n"
        "kept = builtins.exec\n"
        "builtins.exec = lambda *a: (counted.append(a[0]), kept(*a))[1]\n"
        "from flowir.records import dataclass\n"
        "counted.clear()\n"
        "class A:\n  a: int\n"
        "A = dataclass(frozen=True, slots=True)(A)\n"
        "before = len(counted)\n"
        "A(1), A(2), repr(A(3)), hash(A(4)), A(5) == A(6)\n"
        "print(before, len(counted) - before)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    # From 3.13 on the library compiles a text for each class, with no method in it here.
    assert done.stdout.split() == ["0" if sys.version_info < (3, 13) else "1", "1"]
