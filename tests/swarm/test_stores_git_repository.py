"""When there is a repository: while another process makes it there is none yet."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from swarm.errors import SwarmError
from swarm.ports.versions import Contents, File, Note
from swarm.stores.git import GitVersions

FLOW = {"kind": "seq", "children": []}
CONTENTS = Contents(
    {"swarm": 1, "id": "review", "agents": [], "flow": FLOW},
    {"blueprint.lua": File(b"-- hi\n")},
    "blueprint.lua",
)
NOTE = Note("ada", "because", 1000.0)


async def test_one_that_is_being_made_is_read_as_none_and_finished_by_a_writer(
    tmp_path: Path,
) -> None:
    pygit2.init_repository(tmp_path / "blueprints.git", bare=True)
    (tmp_path / "blueprints.git/HEAD").unlink()  # which comes last
    store = GitVersions(tmp_path)
    assert await store.head("review") is None
    assert await store.draft("review") is None
    assert (await store.verify(), await store.collect()) == ((), 0)
    entry = await store.add(CONTENTS, NOTE, label="1.0.0", expected=None)
    assert await store.head("review") == entry
    store.close()


async def test_one_with_versions_that_has_lost_its_head_is_damaged(tmp_path: Path) -> None:
    store = GitVersions(tmp_path)
    await store.add(CONTENTS, NOTE, label="1.0.0", expected=None)
    store.close()
    (tmp_path / "blueprints.git/HEAD").unlink()
    again = GitVersions(tmp_path)
    with pytest.raises(SwarmError) as refused:
        await again.head("review")
    assert refused.value.code == "version.damaged"
    again.close()
