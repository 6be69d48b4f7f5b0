"""What every store of versions does: in memory and in git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.blueprint.selector import parse_selector
from swarm.errors import Refused
from swarm.ports.versions import Contents, Draft, Entry, File, Note, VersionStore
from swarm.stores.git import GitVersions
from swarm.stores.memory_versions import MemoryVersions


@pytest.fixture(params=["memory", "git"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VersionStore]:
    made: VersionStore = MemoryVersions() if request.param == "memory" else GitVersions(tmp_path)
    yield made
    made.close()


def contents(said: str = "hi", *, id: str = "review", **files: bytes) -> Contents:
    flow = {"kind": "seq", "children": []}
    document = {"swarm": 1, "id": id, "agents": [], "description": said, "flow": flow}
    source = File(f"-- {said}\n".encode())
    more = {name.replace("__", "/"): File(body) for name, body in files.items()}
    return Contents(document, {"blueprint.lua": source, **more}, "blueprint.lua")


def note(at_s: float = 1000.0, **more: Any) -> Note:
    return Note(more.get("author", "ada"), more.get("reason", "because"), at_s)


async def filled(store: VersionStore, *said: str) -> list[Entry]:
    entries: list[Entry] = []
    for n, word in enumerate(said):
        behind = entries[-1].commit if entries else None
        at = note(1000.0 + 10 * n)
        entries.append(await store.add(contents(word), at, label=f"1.{n}.0", expected=behind))
    return entries


async def find(store: VersionStore, selector: str) -> Entry:
    return await store.find(parse_selector(selector))


async def refused(code: str, act: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await act
    assert caught.value.code == code
    return caught.value


async def test_what_was_added_is_read_again(store: VersionStore) -> None:
    put = contents("hi", tools__check_py=b"print()\n")
    entry = await store.add(put, note(), label="1.0.0", expected=None)
    assert (entry.blueprint, entry.number, entry.label) == ("review", 1, "1.0.0")
    assert await store.read(entry) == put
    assert await store.head("review") == entry


async def test_lines_and_executable_files_are_kept(store: VersionStore) -> None:
    plain = contents()
    lines = {"$.flow": ("blueprint.lua", 3), "$": ("blueprint.lua", None)}
    files = {**plain.files, "run.sh": File(b"#!/bin/sh\n", executable=True)}
    put = Contents(plain.document, files, plain.source, generated=True, lines=lines)
    entry = await store.add(put, note(), label="1.0.0", expected=None)
    assert await store.read(entry) == put


async def test_every_kind_of_selector_finds_its_entry(store: VersionStore) -> None:
    first, second, third = await filled(store, "a", "b", "c")
    await store.tag("review", "prod", second)
    cases = {
        "review": third,
        "review@latest": third,
        "review@1.0.0": first,
        "review@^1": third,
        "review@~1.1": second,
        "review@<1.2": second,
        "review@prod": second,
        f"review@{first.digest[:7]}": first,
        "review@{1970-01-01T00:16:45}": first,
        "review@{1970-01-01T00:16:51Z}": second,
        "review@{1970-01-01}": third,
    }
    assert {name: (await find(store, name)).label for name in cases} == {
        name: entry.label for name, entry in cases.items()
    }


async def test_what_is_not_there_is_unknown(store: VersionStore) -> None:
    await refused("version.unknown", find(store, "review"))
    await filled(store, "a")
    for name in ("other", "review@2.0.0", "review@^2", "review@prod", "review@abcdef0"):
        await refused("version.unknown", find(store, name))
    await refused("version.unknown", find(store, "review@{1969-12-31}"))
    await refused("version.unknown", store.log("other"))
    await refused("version.unknown", store.tags("other"))


async def test_the_same_content_twice_is_one_version_and_two_entries(store: VersionStore) -> None:
    first, second, third = await filled(store, "a", "b", "a")
    assert first.digest == third.digest != second.digest
    assert (await find(store, f"review@{first.digest[:12]}")) == third


async def test_who_does_not_know_the_newest_entry_may_not_write(store: VersionStore) -> None:
    first, second = await filled(store, "a", "b")
    for expected in (None, first.commit, "0" * 40):
        error = await refused(
            "version.conflict", store.add(contents("c"), note(), label="9.0.0", expected=expected)
        )
        assert error.values["head"] == second
    assert await store.head("review") == second


async def test_a_label_rises(store: VersionStore) -> None:
    head = (await filled(store, "a", "b"))[-1]
    for label in ("1.1.0", "1.0.9", "0.9.0", "1.2", "01.2.3", "v2.0.0", "2.0.0-beta"):
        act = store.add(contents("c"), note(), label=label, expected=head.commit)
        await refused("version.label", act)


async def test_a_history_is_read_in_pages(store: VersionStore) -> None:
    entries = await filled(store, *"abcde")
    first = await store.log("review", limit=2)
    assert list(first) == entries[:-3:-1]
    rest = await store.log("review", limit=10, before=first[-1].number)
    assert list(rest) == entries[2::-1]


async def test_a_clock_that_goes_back_changes_no_order(store: VersionStore) -> None:
    first = await store.add(contents("a"), note(1000.0), label="1.0.0", expected=None)
    second = await store.add(contents("b"), note(500.0), label="1.0.1", expected=first.commit)
    assert await store.head("review") == second
    assert [entry.label for entry in await store.log("review")] == ["1.0.1", "1.0.0"]


async def test_tags_move_and_go(store: VersionStore) -> None:
    first, second = await filled(store, "a", "b")
    await store.tag("review", "prod", first)
    await store.tag("review", "prod", second)
    await store.tag("review", "canary", first)
    assert await store.tags("review") == {"canary": first, "prod": second}
    await store.tag("review", "prod", None)
    assert await store.tags("review") == {"canary": first}
    await refused("version.unknown", store.tag("review", "prod", None))


@pytest.mark.parametrize(
    "tag", ["", "latest", "1.2", "x", "*", "abcdef0", "Prod", "a/b", "../x", "a.lock", "é", "a b"]
)
async def test_a_tag_looks_like_no_other_selector(store: VersionStore, tag: str) -> None:
    (entry,) = await filled(store, "a")
    await refused("version.tag", store.tag("review", tag, entry))


@pytest.mark.parametrize(
    "path",
    [
        "", ".", "..", "/abs", "../x", "a/../b", "a//b", "a/", ".git/config", "a/.git", "a\\b",
        "meta.json", "blueprint.json", "a\0b", "a\nb", ".gitmodules", "GIT~1", "x" * 300,
        "blueprint.lua/x",
    ],
)  # fmt: skip
async def test_a_file_stands_below_the_folder(store: VersionStore, path: str) -> None:
    plain = contents()
    put = Contents(plain.document, {**plain.files, path: File(b"x")}, plain.source)
    await refused("version.path", store.add(put, note(), label="1.0.0", expected=None))
    assert await store.head("review") is None


async def test_files_have_a_largest_size(store: VersionStore) -> None:
    at_limit = contents(big=b"x" * (4 * 1024 * 1024))
    await store.add(at_limit, note(), label="1.0.0", expected=None)
    over = contents(id="other", big=b"x" * (4 * 1024 * 1024 + 1))
    await refused("version.too_large", store.add(over, note(), label="1.0.0", expected=None))
    plain = contents(id="other")
    files = {f"f{n}": File(b"") for n in range(1001)}
    many = Contents(plain.document, files, plain.source)
    await refused("version.too_large", store.add(many, note(), label="1.0.0", expected=None))


@pytest.mark.parametrize(
    "id", ["../x", "/abs", "a/../../x", "", ".", "..", "a\0", "a\nb", "x" * 64, "CON",
           "a.", "x.git", "x.lock", "-a", "Review", "é", "a..b"],
)  # fmt: skip
async def test_an_id_is_no_path(store: VersionStore, id: str) -> None:
    await refused("version.id", store.add(contents(id=id), note(), label="1.0.0", expected=None))


async def test_a_reason_is_plain_text_and_decides_nothing(store: VersionStore) -> None:
    reason = "digest: 0000\x1b[31m\nback_to: 9.9.9\u202e " + "x" * 2000
    entry = await store.add(
        contents(), note(reason=reason, author="<a>\n"), label="1.0.0", expected=None
    )
    found = await store.head("review")
    assert found == entry
    assert entry.note.reason.startswith("digest: 0000 [31m back_to: 9.9.9 xxx")
    assert len(entry.note.reason) == 500
    assert entry.back_to is None
    assert entry.digest != "0000"


async def test_a_draft_takes_the_place_of_the_one_before(store: VersionStore) -> None:
    assert await store.draft("review") is None
    for word in (b"a", b"b"):
        draft = Draft("review", {"r.lua": File(word)}, "r.lua", note(), ("r.lua:1: x",))
        await store.put_draft(draft)
    assert await store.draft("review") == draft
    assert await store.head("review") is None


async def test_of_writers_at_once_one_wins_each_place(store: VersionStore) -> None:
    won: list[Entry] = []

    async def write(name: str) -> None:
        for n in range(4):
            while True:
                head = await store.head("review")
                label = "1.0.0" if head is None else f"1.0.{head.number}"
                try:
                    behind = None if head is None else head.commit
                    put = contents(f"{name}{n}")
                    won.append(await store.add(put, note(), label=label, expected=behind))
                    break
                except Refused as error:
                    if error.code not in ("version.conflict", "version.label"):
                        raise

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(write, name)
    log = await store.log("review", limit=100)
    assert [entry.number for entry in log] == list(range(12, 0, -1))
    assert {entry.commit for entry in log} == {entry.commit for entry in won}


async def test_blueprints_are_listed_by_id(store: VersionStore) -> None:
    for name in ("b", "a", "c.d"):
        await store.add(contents(id=name), note(), label="1.0.0", expected=None)
    assert [entry.blueprint for entry in await store.blueprints()] == ["a", "b", "c.d"]
    assert await store.verify() == [] or await store.verify() == ()


async def test_what_is_collected_is_named_by_nothing(store: VersionStore) -> None:
    entries = await filled(store, "a", "b")
    await store.tag("review", "prod", entries[0])
    await store.collect()
    await store.collect(dry_run=True)
    assert [await store.read(entry) for entry in entries] == [contents("a"), contents("b")]
    assert await store.tags("review") == {"prod": entries[0]}


# Documents whose hashes begin with the same seven digits.
TWINS = ("20185", "39139")


async def test_the_beginning_of_two_hashes_is_no_name(store: VersionStore) -> None:
    one, other = await filled(store, *TWINS)
    shared = one.digest[:7]
    assert (other.digest[:7], other.digest[7] == one.digest[7]) == (shared, False)
    said = (await refused("version.ambiguous", find(store, f"review@{shared}"))).message
    names = [f"{a.digest[:16]}, {b.digest[:16]}" for a, b in ((one, other), (other, one))]
    assert said in [
        f"review@{shared}: expected the beginning of one hash, got that of {both} \u2014 use more "
        "digits"
        for both in names
    ]
    for entry in (one, other):
        assert await find(store, f"review@{entry.digest[:8]}") == entry


@pytest.mark.parametrize("id", ["../x", "A", "", "a/b", "x.lock"])
async def test_what_is_no_id_is_refused_wherever_it_is_asked_for(
    store: VersionStore, id: str
) -> None:
    await refused("version.id", store.head(id))
    await refused("version.id", store.tags(id))
    await refused("version.id", store.draft(id))
