"""An environment is made once; what cannot be installed is a sentence. Without a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from bench.roster import Contender
from bench.setups import prepare


def contender(*requirements: str) -> Contender:
    return Contender("one", "One", requirements, "pass", ())


def wheels(folder: Path) -> tuple[str, ...]:
    """Write a wheel, and return how pip finds it and nothing else."""
    info = "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_thing.py", "SIZE = 1\n")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
    return ("--no-index", "--find-links", str(folder))


def test_what_cannot_be_installed_is_told_and_tried_again(tmp_path: Path) -> None:
    asked = contender("swarm-bench-no-such-package>=1")
    found = prepare(tmp_path, [asked], options=("--no-index",))["one"]
    assert found.problem is not None
    assert "swarm-bench-no-such-package" in found.problem
    assert not (tmp_path / "one" / "installed").exists()


def test_an_environment_is_made_once_and_again_for_other_requirements(tmp_path: Path) -> None:
    options = wheels(tmp_path)
    first = prepare(tmp_path, [contender("tiny-thing")], options=options)["one"]
    assert first.problem is None
    assert list((tmp_path / "one").glob("lib/python*/site-packages/tiny_thing.py"))
    assert sys.version in (tmp_path / "one" / "installed").read_text()
    mark = tmp_path / "one" / "mark"
    mark.touch()
    assert prepare(tmp_path, [contender("tiny-thing")], options=options)["one"] == first
    assert mark.exists()
    assert prepare(tmp_path, [contender("tiny-thing>=2")], options=options)["one"].problem
    assert not mark.exists()
