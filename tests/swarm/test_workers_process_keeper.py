"""What a keeper does by itself, where no host has to be there."""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from swarm.workers.process import keeper

# A test of what waits may wait for ever.
pytestmark = pytest.mark.timeout(60)


def test_where_the_system_has_no_prctl_nothing_is_asked_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    prctl = keeper._prctl()  # pyright: ignore[reportPrivateUsage]
    assert prctl(1, 9) is False


@pytest.mark.parametrize(
    ("hard", "most", "more", "expected"),
    [
        (resource.RLIM_INFINITY, 100, 0, (100, 100)),
        (resource.RLIM_INFINITY, 100, 1, (100, 101)),
        (1000, 100, 0, (100, 100)),
        (1000, 100, 1, (100, 101)),
        (100, 100, 1, (100, 100)),
        (50, 100, 0, (50, 50)),
        (50, 100, 1, (50, 50)),
    ],
)
def test_a_limit_is_lowered_and_never_above_what_there_is(
    monkeypatch: pytest.MonkeyPatch, hard: int, most: int, more: int, expected: tuple[int, int]
) -> None:
    kept: list[tuple[int, tuple[int, int]]] = []

    def getrlimit(limit: int) -> tuple[int, int]:
        return hard, hard

    def setrlimit(limit: int, both: tuple[int, int]) -> None:
        kept.append((limit, both))

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    keeper._lower(resource.RLIMIT_CPU, most, more)  # pyright: ignore[reportPrivateUsage]
    assert kept == [(resource.RLIMIT_CPU, expected)]


# -- the pieces: what each does with what the system says --------------------------------


class Ended(BaseException):
    """Instead of the end of this process."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Told(list[Any]):
    """Keeps what it is called with."""

    def __call__(self, *given: Any) -> None:
        self.append(given)


def always(value: Any) -> Callable[..., Any]:
    def told(*_given: Any) -> Any:
        return value

    return told


def _end(status: int) -> NoReturn:
    raise Ended(status)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def bell() -> Iterator[Any]:
    before = signal.set_wakeup_fd(-1)
    made: Any = keeper._Bell()  # pyright: ignore[reportPrivateUsage]
    yield made
    with suppress(OSError):
        made.close()
    signal.set_wakeup_fd(before)


def _open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def _closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


def test_a_bell_is_rung_by_signals_hushed_at_once_and_closed_whole(bell: Any) -> None:
    ends = (bell.reading, bell._writing)
    assert [os.get_blocking(end) for end in ends] == [False, False]
    bell.hush()
    os.write(bell._writing, bytes(60_000))
    bell.hush()
    assert select.select([bell.reading], [], [], 0)[0] == [], "hushed is hushed"
    assert signal.set_wakeup_fd(bell._writing, warn_on_full_buffer=False) == bell._writing
    bell.close()
    assert [_closed(end) for end in ends] == [True, True]
    assert signal.set_wakeup_fd(-1) == -1


def test_a_descriptor_becomes_nothing_and_no_other_is_left() -> None:
    reading, writing = os.pipe()
    before = _open_fds()
    keeper._to_null(reading)  # pyright: ignore[reportPrivateUsage]
    assert os.read(reading, 1) == b""
    os.write(reading, b"x")
    assert _open_fds() == before
    os.close(reading)
    os.close(writing)


def test_descriptors_come_whole_and_no_program_inherits_them(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    nulls = [os.open(os.devnull, os.O_RDWR) for _ in range(8)]
    socket.send_fds(ours, [b"abcdef"], nulls)
    data, fds = keeper._receive(theirs, 4)  # pyright: ignore[reportPrivateUsage]
    assert (data, len(fds)) == (b"abcd", 8)
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in [*nulls, *fds]:
        os.close(fd)
    assert keeper._receive(theirs, 4) == (b"ef", [])  # pyright: ignore[reportPrivateUsage]


def test_half_a_descriptor_is_none_and_neither_is_another_word_of_the_system() -> None:
    fd = os.open(os.devnull, os.O_RDWR)
    one = fd.to_bytes(4, sys.byteorder)
    extra = [
        (socket.SOL_SOCKET, socket.SCM_RIGHTS, one + one[:2]),
        (socket.SOL_SOCKET, socket.SCM_RIGHTS + 1, one),
        (socket.SOL_SOCKET + 1, socket.SCM_RIGHTS, one),
    ]
    door: Any = SimpleNamespace(recvmsg=always((b"x", extra, 0, None)))
    assert keeper._receive(door, 1) == (b"x", [fd])  # pyright: ignore[reportPrivateUsage]
    os.close(fd)


def test_a_line_that_is_reset_is_one_that_has_ended(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"never read")
    ours.close()
    assert keeper._receive(theirs, 4) == (b"", [])  # pyright: ignore[reportPrivateUsage]


def _asked(door: socket.socket, request: bytes, fds: list[int], cut: int | None = None) -> None:
    socket.send_fds(door, [keeper.HEADER.pack(len(request))[:2]], fds)
    rest = keeper.HEADER.pack(len(request))[2:] + request
    door.sendall(rest[:cut])
    door.shutdown(socket.SHUT_WR)


def test_a_request_is_read_to_its_end_in_whatever_pieces_it_comes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    nulls = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
    said = {"argv": ["x" * 150_000]}
    sending = threading.Thread(target=_asked, args=(ours, json.dumps(said).encode(), nulls))
    sending.start()
    before = _open_fds()
    found = keeper._receive_request(theirs)  # pyright: ignore[reportPrivateUsage]
    sending.join(10)
    assert found is not None
    request, fds = found
    assert request == said
    assert _open_fds() == before + len(fds) == before + 3, "those that came were let go of"
    for fd in fds:
        assert fd >= 16
        assert not os.get_inheritable(fd)
    for fd in [*nulls, *fds]:
        os.close(fd)


@pytest.mark.parametrize("cut", [None, 0, 1, 2, 7, -1])
def test_a_request_that_breaks_off_is_none(
    pair: tuple[socket.socket, socket.socket], cut: int | None
) -> None:
    ours, theirs = pair
    if cut is None:
        ours.shutdown(socket.SHUT_WR)
    else:
        _asked(ours, b'{"argv": []}', [], cut)
    assert keeper._receive_request(theirs) is None  # pyright: ignore[reportPrivateUsage]


# -- the nursery ---------------------------------------------------------------------------


@pytest.fixture
def nursery(pair: tuple[socket.socket, socket.socket], bell: Any) -> Iterator[Any]:
    made: Any = keeper._Nursery(pair[1], lambda *_: True)  # pyright: ignore[reportPrivateUsage]
    yield made
    with suppress(OSError):
        made._bell.close()


def test_a_nursery_forks_a_keeper_for_each_socket_until_the_host_has_gone(
    monkeypatch: pytest.MonkeyPatch, nursery: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    pids = iter((41, 42))
    monkeypatch.setattr(os, "fork", lambda: next(pids))
    before = _open_fds()
    for _ in range(2):
        mine, given = socket.socketpair()
        socket.send_fds(pair[0], [b"k"], [given.fileno()])
        given.close()
        assert nursery._take() is True
        assert mine.recv(1) == b"", "the nursery keeps none of them"
        mine.close()
    assert nursery._keepers == {41, 42}
    assert _open_fds() == before
    pair[0].close()
    assert nursery._take() is False
    nursery.run()


def test_a_keeper_has_nothing_of_the_nursery(
    monkeypatch: pytest.MonkeyPatch, nursery: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    kept: list[socket.socket] = []

    def keep(control: socket.socket, prctl: Any) -> NoReturn:
        assert prctl is nursery._prctl
        kept.append(control)
        raise Ended(0)

    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(keeper, "_keep", keep)
    mine, given = socket.socketpair()
    socket.send_fds(pair[0], [b"k"], [given.fileno()])
    with pytest.raises(Ended):
        nursery._take()
    assert nursery._door.fileno() == -1
    assert _closed(nursery._bell.reading)
    kept[0].sendall(b"it")
    assert mine.recv(2) == b"it"
    for one in (mine, given, *kept):
        one.close()


STOPPED, KILLED, FINE = 0x137F, 9, 0


@pytest.mark.parametrize(
    ("seen", "killed", "left"),
    [
        ([], [], {1, 2, 3}),
        # One that ends well leaves nothing behind, and is none any more,
        ([(1, FINE), (2, FINE)], [], {3}),
        # one that does not may; only what is no keeper is ended;
        ([(1, KILLED)], [7, 1], {2, 3}),
        # what a keeper left is nobody's;
        ([(9, FINE)], [7], {1, 2, 3}),
        # one that was stopped is made to end, and is one until then.
        ([(1, STOPPED)], [1], {1, 2, 3}),
        ([(1, STOPPED), (1, KILLED)], [1, 7, 1], {2, 3}),
    ],
)
def test_a_nursery_ends_what_a_keeper_left_behind(
    monkeypatch: pytest.MonkeyPatch,
    nursery: Any,
    seen: list[tuple[int, int]],
    killed: list[int],
    left: set[int],
) -> None:
    ended: list[int] = []
    for last in ((0, 0), None):
        ends = iter([*seen, *([last] if last else [])])

        def wait(pid: int, flags: int, ends: Any = ends) -> tuple[int, int]:
            assert (pid, flags) == (-1, os.WNOHANG | os.WUNTRACED)
            try:
                return next(ends)
            except StopIteration:
                raise ChildProcessError from None

        def kill(pid: int, number: int) -> None:
            assert number == signal.SIGKILL
            ended.append(pid)

        monkeypatch.setattr(os, "waitpid", wait)
        monkeypatch.setattr(os, "kill", kill)
        monkeypatch.setattr(keeper, "children_by_parent", lambda: {os.getpid(): [7, 2, 3, 1]})
        nursery._keepers = {1, 2, 3}
        ended.clear()
        nursery._reap()
        assert nursery._keepers == left
        assert ended == killed


@pytest.mark.parametrize(("asked", "fails", "status"), [(0, 0, 0), (1, 0, 0), (1, 1, 1)])
def test_a_keeper_ends_with_its_program(
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[socket.socket, socket.socket],
    asked: int,
    fails: int,
    status: int,
) -> None:
    said: list[Any] = []

    class Kept:
        def __init__(self, *given: Any) -> None:
            said.append(given)

        def run(self) -> None:
            if fails:
                raise OSError

    monkeypatch.setattr(os, "_exit", _end)
    monkeypatch.setattr(keeper, "_Keeper", Kept)
    told: list[tuple[int, int]] = []

    def prctl(option: int, value: int) -> bool:
        told.append((option, value))
        return True

    if asked:
        _asked(pair[0], b"{}", [])
    else:
        pair[0].close()
    with pytest.raises(Ended) as ended:
        keeper._keep(pair[1], prctl)  # pyright: ignore[reportPrivateUsage]
    assert ended.value.status == status
    assert told == [(36, 1)]
    assert said == [(pair[1], prctl, {}, [])] * asked


# -- a keeper ------------------------------------------------------------------------------


@pytest.fixture
def made(pair: tuple[socket.socket, socket.socket], bell: Any) -> Iterator[Any]:
    found: Any = keeper._Keeper(  # pyright: ignore[reportPrivateUsage]
        pair[1], lambda *_: True, {"limits": {}, "workdir": "w"}, []
    )
    yield found
    found._bell.close()


def _heard(door: socket.socket) -> list[str]:
    door.setblocking(False)
    try:
        return door.recv(4096).decode().splitlines()
    except BlockingIOError:
        return []


def test_what_a_keeper_says_is_a_line_and_nobody_need_hear_it(
    made: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    made._say("exited", 3)
    assert pair[0].recv(64) == b"exited 3\n"
    pair[0].close()
    made._say("gone")


@pytest.mark.parametrize(
    ("limits", "root", "tasks", "expected"),
    [
        ({}, False, 9, []),
        ({"memory_bytes": 5}, True, 9, [("AS", 5, 0)]),
        ({"cpu_s": 2.9, "open_files": 4}, True, 9, [("CPU", 2, 1), ("NOFILE", 4, 0)]),
        ({"file_bytes": 0}, True, 9, [("FSIZE", 0, 0)]),
        ({"processes": 3}, True, 9, []),
        ({"processes": 3}, False, 9, [("NPROC", 21, 0)]),
        ({"processes": 3}, False, None, []),
        ({"processes": None}, False, 9, []),
    ],
)
def test_a_program_has_the_limits_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
    made: Any,
    limits: dict[str, Any],
    root: bool,
    tasks: int | None,
    expected: list[tuple[str, int, int]],
) -> None:
    lowered, set_ = Told(), Told()
    monkeypatch.setattr(keeper, "_lower", lowered)
    monkeypatch.setattr(resource, "setrlimit", set_)
    monkeypatch.setattr(os, "geteuid", always(0 if root else 1000))
    made._limits, made._tasks = limits, tasks
    made._limit()
    assert set_ == [(resource.RLIMIT_CORE, (0, 0))]
    assert lowered == [(getattr(resource, f"RLIMIT_{name}"), a, b) for name, a, b in expected]


def test_a_program_hears_signals_as_any_other(made: Any) -> None:
    names = [*keeper._IGNORED, "SIGCHLD", "SIGXFSZ"]  # pyright: ignore[reportPrivateUsage]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        for name in names:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        made._free_signals()
        assert {signal.getsignal(getattr(signal, name)) for name in names} == {signal.SIG_DFL}
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def test_a_keeper_passes_on_the_wish_that_its_program_ends(
    monkeypatch: pytest.MonkeyPatch, made: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    told = Told()
    monkeypatch.setattr(keeper, "signal_tree", told)
    made._pid = 77
    pair[0].sendall(b"T")
    assert made._obey() is True
    assert told == [(77, signal.SIGTERM)]
    pair[0].shutdown(socket.SHUT_WR)
    assert made._obey() is False
    made._control.sendall(b"unread")
    pair[0].close()
    assert made._obey() is False
    assert told == [(77, signal.SIGTERM)]


@pytest.mark.parametrize(("only", "goes_on"), [(True, False), (False, True)])
@pytest.mark.parametrize(("how", "status", "code"), [(os.CLD_EXITED, 3, 3), (os.CLD_KILLED, 9, -9)])
def test_a_program_that_ended_is_told_of_once_and_left_unreaped(
    monkeypatch: pytest.MonkeyPatch,
    made: Any,
    pair: tuple[socket.socket, socket.socket],
    how: int,
    status: int,
    code: int,
    only: bool,
    goes_on: bool,
) -> None:
    made._pid = 77
    seen = iter([None, (70, os.CLD_EXITED, 0), (71, os.CLD_KILLED, 9), None, (77, how, status)])
    reaped = Told()

    def waitid(kind: int, pid: int, flags: int) -> Any:
        assert (kind, pid, flags) == (os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        found = next(seen)
        if found is None:
            return None
        return SimpleNamespace(si_pid=found[0], si_code=found[1], si_status=found[2])

    monkeypatch.setattr(os, "waitid", waitid)
    monkeypatch.setattr(os, "waitpid", reaped)
    monkeypatch.setattr(keeper, "is_only_child", always(only))
    assert (made._look_at_ends(), reaped, made._exited) == (True, [], False)
    assert (made._look_at_ends(), reaped) == (True, [(70, 0), (71, 0)])
    assert _heard(pair[0]) == []
    assert (made._look_at_ends(), made._exited) == (goes_on, True)
    assert (made._look_at_ends(), len(reaped)) == (goes_on, 2)
    assert _heard(pair[0]) == [f"exited {code}"]


def test_processes_are_counted_where_the_system_has_as_many_more(
    monkeypatch: pytest.MonkeyPatch, made: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    counted = 0

    def below(pid: int) -> list[int]:
        nonlocal counted
        assert pid == os.getpid()
        counted += 1
        return [*range(5)]

    monkeypatch.setattr(keeper, "descendants", below)
    for base, tasks, most, looks, fits in (
        (100, 101, 5, 0, True),
        (100, 102, 5, 1, True),
        (100, 103, 4, 1, False),
        (None, 100, 5, 1, True),
        (100, None, 4, 1, False),
        (100, 200, None, 0, True),
    ):
        monkeypatch.setattr(keeper, "tasks_of_system", lambda tasks=tasks: tasks)
        made._limits, made._tasks, counted = {"processes": most}, base, 0
        assert (made._look_at_limits(), counted) == (fits, looks)
        assert _heard(pair[0]) == ([] if fits else ["limit processes"])
    # The fewest that there ever were are what it began with.
    for tasks, many in ((90, False), (91, False), (92, True), (100, True)):
        monkeypatch.setattr(keeper, "tasks_of_system", lambda tasks=tasks: tasks)
        made._tasks = 100 if tasks == 90 else made._tasks
        assert made._may_be_many(4) is many


def test_the_disk_is_looked_at_each_fifth_time(
    monkeypatch: pytest.MonkeyPatch, made: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    asked: list[tuple[str, int]] = []
    used = 10

    def usage(folder: str, most: int) -> int:
        asked.append((folder, most))
        return used

    monkeypatch.setattr(keeper, "disk_usage", usage)
    assert all(made._look_at_limits() for _ in range(5))
    assert asked == []
    made._limits = {"disk_bytes": 10}
    assert all(made._look_at_limits() for _ in range(5))
    assert asked == [("w", 10)]
    used = 11
    assert [made._look_at_limits() for _ in range(5)] == [True, True, True, True, False]
    assert _heard(pair[0]) == ["limit disk_bytes"]


def test_everything_is_ended_group_first_and_then_what_turns_up(
    monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    made._pid, done = 77, Told()
    left = iter([True, True, False])

    def killpg(pid: int, number: int) -> None:
        done.append(("group", pid, number))
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", killpg)
    monkeypatch.setattr(keeper, "_reap_all", lambda: next(left))
    monkeypatch.setattr(keeper, "descendants", always([5, 6]))
    monkeypatch.setattr(keeper, "kill_below", done)
    made._sweep()
    each = [(5, signal.SIGKILL), (6, signal.SIGKILL)]
    assert done == [("group", 77, signal.SIGKILL), *each, *each]


def test_what_cannot_be_ended_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    now, rounds = 100.0, 0

    def reap() -> bool:
        nonlocal now, rounds
        now, rounds = now + 1, rounds + 1
        return True

    monkeypatch.setattr(os, "killpg", always(None))
    monkeypatch.setattr(keeper, "monotonic", lambda: now)
    monkeypatch.setattr(keeper, "_reap_all", reap)
    monkeypatch.setattr(keeper, "descendants", always([]))
    made._sweep()
    assert rounds == 10


def test_who_has_ended_is_reaped_and_the_others_are_given_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = Told()
    monkeypatch.setattr(select, "select", pauses)
    ends = iter([(4, 0), (5, 0), (0, 0), (6, 0)])

    def wait(pid: int, flags: int) -> tuple[int, int]:
        assert (pid, flags) == (-1, os.WNOHANG)
        try:
            return next(ends)
        except StopIteration:
            raise ChildProcessError from None

    monkeypatch.setattr(os, "waitpid", wait)
    assert keeper._reap_all() is False  # pyright: ignore[reportPrivateUsage]
    assert pauses == [((), (), (), 0.0002)]
    pauses.clear()
    monkeypatch.setattr(os, "waitpid", always((0, 0)))
    assert keeper._reap_all() is True  # pyright: ignore[reportPrivateUsage]
    assert [one[3] for one in pauses] == [pytest.approx(0.0002 * 2**n) for n in range(6)]


def test_what_the_system_did_is_told_from_what_it_refused() -> None:
    prctl = keeper._prctl()  # pyright: ignore[reportPrivateUsage]
    assert prctl(36, 0) is True
    assert prctl(9999, 0) is False


def test_a_nursery_looks_at_who_ended_and_at_who_asks_until_nobody_does(
    nursery: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    done: list[str] = []

    def reap() -> None:
        done.append("reap")
        assert select.select([nursery._bell.reading], [], [], 0)[0] == [], "it was hushed"
        pair[0].sendall(b"kk")

    def take() -> bool:
        done.append("take")
        nursery._door.recv(1)
        return len(done) < 3

    nursery._reap, nursery._take = reap, take
    os.write(nursery._bell._writing, b"x")
    nursery.run()
    assert done == ["reap", "take", "take"]


class Poll:
    """Says what is ready by a script, and moves the time on."""

    def __init__(self, *script: tuple[float, int | None]) -> None:
        self.script = [*script]
        self.now_s = 100.0
        self.waits: list[float] = []
        self.asked: list[tuple[int, int]] = []

    def register(self, file: Any, events: int) -> None:
        self.asked.append((file if isinstance(file, int) else file.fileno(), events))

    def poll(self, wait_ms: float) -> list[tuple[int, int]]:
        self.waits.append(round(wait_ms, 3))
        taken_s, ready = self.script.pop(0)
        self.now_s += taken_s
        return [] if ready is None else [(ready, select.POLLIN)]


@pytest.mark.parametrize("last", ["obey", "ends", "limits"])
def test_a_keeper_watches_three_things_and_looks_each_tenth_of_a_second(
    monkeypatch: pytest.MonkeyPatch, made: Any, last: str
) -> None:
    host, bell = made._control.fileno(), made._bell.reading
    way: dict[str, tuple[float, int | None]] = {
        "obey": (0.01, host),
        "ends": (0.01, bell),
        "limits": (0.1, None),
    }
    poll = Poll((0.04, host), (0.03, bell), (0.03, None), (0.25, None), way[last])
    done: list[str] = []

    def noted(name: str, most: int) -> Any:
        def act() -> bool:
            done.append(name)
            return done.count(name) <= most

        return act

    os.write(made._bell._writing, b"x")
    monkeypatch.setattr(select, "poll", lambda: poll)
    monkeypatch.setattr(keeper, "monotonic", lambda: poll.now_s)
    made._obey, made._look_at_ends = noted("obey", 1), noted("ends", 1)
    made._look_at_limits = noted("limits", 2)
    made._watch()
    assert done == ["obey", "ends", "limits", "limits", last]
    assert poll.waits == [100, 60, 30, 100, 100]
    assert poll.asked == [(host, select.POLLIN), (bell, select.POLLIN)]
    with pytest.raises(BlockingIOError):
        os.read(bell, 1)


def test_a_keeper_has_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket], bell: Any
) -> None:
    monkeypatch.setattr(keeper, "tasks_of_system", always(9))
    request, prctl = {"limits": {"cpu_s": 1}}, always(True)
    found: Any = keeper._Keeper(pair[1], prctl, request, [5])  # pyright: ignore[reportPrivateUsage]
    assert (found._control, found._prctl, found._request) == (pair[1], prctl, request)
    assert (found._limits, found._fds, found._tasks) == ({"cpu_s": 1}, [5], 9)
    found._bell.close()


@pytest.mark.parametrize("breaks", [False, True])
def test_a_keeper_sweeps_whatever_came_of_its_watching(
    made: Any, pair: tuple[socket.socket, socket.socket], breaks: bool
) -> None:
    done: list[str] = []

    def watch() -> None:
        done.append("watch")
        if breaks:
            raise OSError

    made._pid = 77
    made._launch, made._watch, made._sweep = always(None), watch, lambda: done.append("sweep")
    with suppress(OSError):
        made.run()
    assert done == ["watch", "sweep"]
    assert _heard(pair[0]) == (["pid 77"] if breaks else ["pid 77", "gone"])


def test_a_keeper_whose_program_did_not_start_says_why_and_no_more(
    made: Any, pair: tuple[socket.socket, socket.socket]
) -> None:
    made._launch = always(("cwd", 2))
    made.run()
    assert _heard(pair[0]) == ["failed cwd 2"]


@pytest.mark.parametrize(
    ("said", "found", "reaped"), [(b"cwd 2", ("cwd", 2), [(77, 0)]), (b"", None, [])]
)
def test_a_keeper_hears_whether_its_program_started_and_keeps_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, made: Any, said: bytes, found: Any, reaped: list[Any]
) -> None:
    ends = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    waited = Told()

    def fork() -> int:
        os.write(ends[1], said)
        return 77

    monkeypatch.setattr(os, "pipe", lambda: ends)
    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "waitpid", waited)
    made._fds = [null]
    assert made._launch() == found
    assert waited == reaped
    assert [_closed(fd) for fd in (*ends, null)] == [True, True, True]


def test_what_is_forked_becomes_the_program(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    ends = os.pipe()
    became = Told()

    def become(*given: Any) -> NoReturn:
        became.append(given)
        raise Ended(0)

    monkeypatch.setattr(os, "pipe", lambda: ends)
    monkeypatch.setattr(os, "fork", lambda: 0)
    made._become = become
    with pytest.raises(Ended):
        made._launch()
    assert became == [(ends[1], os.getpid())]
    for end in ends:
        os.close(end)


NURSERY = """
import ctypes, gc, json, os, signal, socket
from swarm.workers.process import keeper

def run(nursery):
    nursery._door.sendall(b"here")
    signals = [getattr(signal, name) for name in keeper._IGNORED]
    subreaper = ctypes.c_int()
    ctypes.CDLL(None).prctl(37, ctypes.byref(subreaper), 0, 0, 0)
    print(json.dumps([
        {signal.getsignal(one) == signal.SIG_IGN for one in signals} == {True},
        callable(signal.getsignal(signal.SIGCHLD)),
        subreaper.value,
        os.readlink("/proc/self/fd/0"),
        gc.get_freeze_count() > 0,
    ]))

keeper._Nursery.run = run
keeper.main()
"""


def test_a_nursery_is_deaf_has_a_door_and_adopts_what_is_left(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", NURSERY], stdin=pair[1].fileno(),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(done.stdout) == [True, True, 1, os.devnull, True]
    assert pair[0].recv(4) == b"here"


PROGRAM = """
import json, os, resource, signal, sys
print(json.dumps([
    os.getsid(0) == os.getpid(), os.umask(0), os.getcwd(), os.environ["A"],
    resource.getrlimit(resource.RLIMIT_CORE), resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, os.readlink("/proc/self/fd/0"),
]))
"""
STARTING = """
import os, signal, sys
from swarm.workers.process import keeper
reading, writing = os.pipe()
null = os.open(os.devnull, os.O_RDWR)
made = object.__new__(keeper._Keeper)
made._prctl = lambda *given: os.write(3, repr(tuple(map(int, given))).encode())
argv = {"argv": [sys.executable, "-c", sys.argv[3]]} if sys.argv[3] else {}
made._request = {**argv, "env": {"A": "b"}, "cwd": sys.argv[2]}
made._limits, made._fds, made._tasks = {"open_files": 64}, [null, 1, 2], None
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    made._become(writing, int(sys.argv[1]) or os.getppid())
os.close(writing)
said = os.read(reading, 64)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode())
"""


def _become(keeper_pid: int, cwd: str, program: str = PROGRAM) -> tuple[list[str], str]:
    told, writing = os.pipe()
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", f"import os; os.dup2({writing}, 3)\n{STARTING}",
             str(keeper_pid), cwd, program],
            capture_output=True, text=True, check=True, timeout=60, pass_fds=[writing],
        )  # fmt: skip
        os.close(writing)
        return done.stdout.splitlines(), os.read(told, 4096).decode()
    finally:
        os.close(told)


def test_a_program_starts_with_what_it_was_given_and_can_gain_nothing(tmp_path: Path) -> None:
    (program, status), told = _become(0, str(tmp_path))
    given = [True, 0o077, str(tmp_path), "b", [0, 0], 64, True, os.devnull]
    assert json.loads(program) == given
    assert (status, told) == ("0 ", "(1, 9)(38, 1)")


def test_a_program_whose_keeper_has_died_meanwhile_does_not_start(tmp_path: Path) -> None:
    assert _become(1, str(tmp_path))[0] == ["1 "]


def test_a_program_that_cannot_start_says_where_it_failed(tmp_path: Path) -> None:
    assert _become(0, str(tmp_path / "none"))[0] == [f"127 cwd {errno.ENOENT}"]
    assert _become(0, str(tmp_path), "")[0] == ["127 exec 0"]
