"""Files that go away while they are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from swarm.stores.present import present, size_of


def listed_and_gone(folder: Path) -> Iterator[Path]:
    """Yield three files, the second of which goes away when it has been listed."""
    for name in ("a", "b", "c"):
        place = folder / name
        place.write_bytes(b"four")
        if name == "b":
            place.unlink()
        yield place


def test_what_has_gone_since_it_was_listed_is_passed_over(tmp_path: Path) -> None:
    found = {place.name: status.st_size for place, status in present(listed_and_gone(tmp_path))}
    assert found == {"a": 4, "c": 4}
    assert size_of(listed_and_gone(tmp_path)) == 8


def test_of_nothing_there_is_nothing(tmp_path: Path) -> None:
    assert list(present([tmp_path / "never"])) == []
    assert size_of([]) == 0
