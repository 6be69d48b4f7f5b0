"""The files of a blueprint: gathered for a version, and laid out again for its processes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.frozen import thawed
from swarm.blueprint.printing import blueprint_script
from swarm.errors import Refused
from swarm.ports.versions import Contents, File

__all__ = (
    "generated_contents",
    "incomplete",
    "laid_out",
    "with_lines",
    "written_contents",
    "written_out",
)

SOURCE = "blueprint.lua"
_PRINTED = "Printed from the document, which a program changed."
# `blueprint.json` is the canonical document's own.
_NAMES = {
    ".lua": SOURCE,
    ".json": "source.json",
    ".yaml": "blueprint.yaml",
    ".yml": "blueprint.yml",
}


def written_contents(blueprint: CompiledBlueprint, file: str) -> Contents:
    """Gather what an author wrote: the file itself, and all that it names.

    Raises: Refused (version.outside), for what stands outside of the blueprint's folder;
    Refused (version.incomplete), where a file is not any more what was compiled.
    """
    folder = Path(file).parent
    source = _NAMES[Path(file).suffix]
    files = {
        source if name == Path(file).name else name: _read(folder, name, digest)
        for name, digest in blueprint.files.items()
    }
    return Contents(thawed(blueprint.document), files, source)


def _read(folder: Path, name: str, digest: str) -> File:
    if ":" in name or name.startswith(("..", "/")):
        raise Refused(
            "version.outside",
            f"{name}: expected everything that the blueprint is made of below {folder}, got a "
            "file elsewhere",
            path=name,
        )
    path = folder / name
    try:
        body, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise incomplete(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if hashlib.sha256(body).hexdigest() != digest:
        raise incomplete(f"{path}: it was changed meanwhile")
    return File(body, executable=bool(mode & 0o100))


def incomplete(why: str) -> Refused:
    """Say why a version cannot be kept (version.incomplete)."""
    return Refused(
        "version.incomplete",
        f"expected a blueprint that can be built from the files below its folder alone: {why}",
    )


def generated_contents(document: Mapping[str, Any], beside: Mapping[str, File]) -> Contents:
    """Print the source of a document; *beside* are the files that its processes need."""
    document = thawed(document)
    text = blueprint_script(document, heading=_PRINTED)
    return Contents(document, {**beside, SOURCE: File(text.encode())}, SOURCE, generated=True)


def with_lines(contents: Contents, built: CompiledBlueprint, folder: Path) -> Contents:
    """Add the lines of the places in the document, as building its source gave them."""
    lines = {
        at: (Path(place.file).relative_to(folder).as_posix(), place.line)
        for at, place in built.places.items()
        if Path(place.file).is_relative_to(folder)
    }
    return replace(contents, lines=lines)


def laid_out(files: Mapping[str, File], folder: Path) -> Path:
    """Lay files out in *folder*, read-only; return it.

    What is there already is compared: what somebody changed is written again, and what
    somebody added is removed. Files are replaced one by one, so that a process that works
    there meanwhile keeps its folder.
    """
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
        _lay_out(files, folder)
    _mend(files, folder)
    return folder


def _lay_out(files: Mapping[str, File], folder: Path) -> None:
    """Lay files out where nothing is yet, all or none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        _write(files, fresh, plain=0o444, executable=0o555)
        fresh.rename(folder)
    except OSError:
        # Another process was faster with the same.
        shutil.rmtree(fresh, ignore_errors=True)
        if not folder.is_dir():
            raise


def _mend(files: Mapping[str, File], folder: Path) -> None:
    folders = {parent for path in files for parent in (folder / path).parents}
    for place in [*folder.rglob("*")]:
        if place.is_symlink() or not place.is_dir():
            if place.is_symlink() or place.relative_to(folder).as_posix() not in files:
                place.unlink(missing_ok=True)
        elif place not in folders:
            shutil.rmtree(place, ignore_errors=True)
    for path, file in files.items():
        mode = 0o555 if file.executable else 0o444
        if not _is_as_written(folder / path, file, mode):
            _replace(folder / path, file, mode, beside=folder.parent)


def _is_as_written(place: Path, file: File, mode: int) -> bool:
    try:
        return place.stat().st_mode & 0o777 == mode and place.read_bytes() == file.body
    except OSError:
        return False


def _replace(place: Path, file: File, mode: int, *, beside: Path) -> None:
    handle, fresh = tempfile.mkstemp(prefix="new-", dir=beside)
    with os.fdopen(handle, "wb") as out:
        out.write(file.body)
    os.chmod(fresh, mode)
    if place.is_dir():
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(fresh, place)


def written_out(files: Mapping[str, File], folder: Path) -> None:
    """Write files into a folder that is new or empty, for somebody to work on.

    Raises: Refused (version.folder).
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused("version.folder", f"{folder}: expected a new or empty folder, got more")
    _write(files, folder, plain=0o644, executable=0o755)


def _write(files: Mapping[str, File], folder: Path, *, plain: int, executable: int) -> None:
    for path, file in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.body)
        place.chmod(executable if file.executable else plain)
