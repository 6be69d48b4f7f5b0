"""Letters by themselves: in one folder at a time, acted on once or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm.stores import inbox as inboxes
from swarm.stores.inbox import Inbox


@pytest.fixture
def box(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def places(folder: Path) -> dict[str, list[str]]:
    """Return what lies in which folder."""
    return {
        place.name: sorted(path.name for path in place.iterdir())
        for place in sorted((folder / "inbox").iterdir())
    }


def test_a_letter_goes_from_folder_to_folder(box: Inbox, tmp_path: Path) -> None:
    assert box.take() is None
    name = box.put({"act": "pause", "text": "\u00e9"})
    assert places(tmp_path) == {"new": [name]}
    assert box.receipt(name) is None
    assert box.take() == (name, {"act": "pause", "text": "\u00e9"})
    assert places(tmp_path) == {"new": [], "taken": [name]}
    assert box.take() is None
    assert not box.withdraw(name)
    box.answer(name, {"done": True})
    assert places(tmp_path) == {"done": [name], "new": [], "taken": []}
    assert box.receipt(name) == {"done": True}
    assert box.receipt(name) is None
    assert places(tmp_path) == {"done": [], "new": [], "taken": []}


def test_letters_are_taken_in_their_order(box: Inbox) -> None:
    names = [box.put({"n": n}) for n in range(5)]
    assert len(set(names)) == 5
    assert [box.take() for _ in names] == [(name, {"n": n}) for n, name in enumerate(names)]


def test_a_letter_that_was_withdrawn_is_not_acted_on(box: Inbox) -> None:
    first, second = box.put({"n": 1}), box.put({"n": 2})
    assert box.withdraw(first)
    assert not box.withdraw(first)
    assert box.take() == (second, {"n": 2})


def test_a_letter_may_be_withdrawn_while_it_is_looked_for(
    box: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = box.put({"n": 1}), box.put({"n": 2})
    real: Callable[..., Any] = os.replace

    def replace(source: Path, target: Path) -> None:
        if source.name == first:
            source.unlink()
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    assert box.take() == (second, {"n": 2})
    assert box.take() is None


def test_what_an_owner_had_claimed_the_next_one_claims(box: Inbox, tmp_path: Path) -> None:
    names = [box.put({"n": n}) for n in range(3)]
    box.take()
    box.take()
    box.open()
    assert places(tmp_path) == {"new": names, "taken": []}
    assert box.take() == (names[0], {"n": 0})


def test_a_receipt_that_nobody_came_for_goes_after_an_hour(box: Inbox, tmp_path: Path) -> None:
    names = [box.put({"n": n}) for n in range(2)]
    for name, age_s in zip(names, (3590, 3610), strict=True):
        box.take()
        box.answer(name, {})
        then_s = time.time() - age_s
        os.utime(tmp_path / "inbox/done" / name, (then_s, then_s))
    box.open()
    assert places(tmp_path)["done"] == names[:1]


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1, "a": 2}', b"\xff"])
def test_what_is_no_letter_is_claimed_all_the_same(box: Inbox, tmp_path: Path, text: bytes) -> None:
    name = box.put({})
    (tmp_path / "inbox/new" / name).write_bytes(text)
    assert box.take() == (name, None)
    assert box.take() is None


def test_a_letter_has_just_so_many_bytes(box: Inbox, tmp_path: Path) -> None:
    most = 4 * 1024 * 1024
    for size, read in ((most, True), (most + 1, False)):
        name = box.put({})
        body = b'{"a": 1}' + b" " * (size - 8)
        (tmp_path / "inbox/new" / name).write_bytes(body)
        assert box.take() == (name, {"a": 1} if read else None)


def test_what_is_half_written_or_something_else_is_no_letter(box: Inbox, tmp_path: Path) -> None:
    name = box.put({"n": 1})
    for other in ("a.half", "b.txt", "json"):
        (tmp_path / "inbox/new" / other).write_text("{}")
    assert box.take() == (name, {"n": 1})
    assert box.take() is None


def test_a_letter_is_on_the_disk_before_it_is_seen(
    box: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace: Callable[..., Any] = os.replace

    def synced(handle: int) -> None:
        (half,) = (tmp_path / "inbox/new").iterdir()
        steps.append(f"sync {half.suffix} {half.read_text()}")

    def replaced(source: Path, target: Path) -> None:
        steps.append(f"move {source.suffix} {target.suffix}")
        replace(source, target)

    monkeypatch.setattr(inboxes.os, "fsync", synced)
    monkeypatch.setattr(inboxes.os, "replace", replaced)
    box.put({"n": 1})
    assert steps == ['sync .half {"n": 1}', "move .half .json"]


def test_a_receipt_may_be_fetched_while_old_ones_are_forgotten(
    box: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 10_000.0
    monkeypatch.setattr(inboxes.time, "time", lambda: now_s)
    real = inboxes.present

    def present(places: Any) -> Any:
        for place, status in real(places):
            if place.name == "b.json":
                place.unlink()
            yield place, status

    monkeypatch.setattr(inboxes, "present", present)
    (tmp_path / "inbox/done").mkdir(parents=True)
    for name, age_s in (("a", 3600), ("b", 5000), ("c", 3601), ("d", 3599)):
        place = tmp_path / f"inbox/done/{name}.json"
        place.write_text("{}")
        os.utime(place, (now_s - age_s, now_s - age_s))
    box.open()
    assert places(tmp_path) == {"done": ["a.json", "d.json"]}


def test_what_nobody_has_claimed_may_be_answered(box: Inbox) -> None:
    box.answer("a.json", {"done": True})
    assert box.receipt("a.json") == {"done": True}
