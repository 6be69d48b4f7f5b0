"""The Merkle tree over a log, after RFC 6962: leaves and nodes are hashed apart.

        root(5)
        ┌──┴──────┐
      h(0..3)     h(4)        peaks: the complete subtrees, the largest first
      ┌──┴──┐
    h(0,1) h(2,3)

A subtree that is complete never changes, so its hash is stored with the leaf that completed
it: one hash for each leaf on average, whatever the size. Every root and every path is
made of those, log n of them. Leaves count from zero here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

__all__ = (
    "HASH_BYTES",
    "Node",
    "Tree",
    "consistency",
    "inclusion",
    "is_consistent",
    "is_included",
    "leaf_hash",
    "peaks_of",
    "root_of",
    "subtree",
)

HASH_BYTES: Final = 32

# The hash of a complete subtree: of 2**level leaves, the number-th of those from the left.
Node: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of what a leaf stands for."""
    return sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root_of(peaks: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees, the largest first."""
    if not peaks:
        return sha256(b"").digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = _node(peak, root)
    return root


class Tree:
    """A tree that grows, known by its peaks."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)

    @property
    def root(self) -> bytes:
        """The root as it is now."""
        return root_of(self.peaks)

    def add(self, leaf: bytes) -> bytes:
        """Add a leaf by its hash; return those of the subtrees that it completes above itself."""
        made, top = b"", leaf
        left, peaks = self.size, self.peaks
        self.size = left + 1
        while left & 1:
            # `_node`, written out: it is done for every entry.
            top = sha256(b"\1" + peaks.pop() + top).digest()
            made += top
            left >>= 1
        peaks.append(top)
        return made


def subtree(leaf: bytes, above: bytes, level: int) -> bytes:
    """Return the hash of the subtree of 2**level leaves that a leaf completes.

    Shape: *above* is what `Tree.add` returned for it; nothing, where there is none.
    """
    return above[(level - 1) * HASH_BYTES : level * HASH_BYTES] if level else leaf


# -- making paths -------------------------------------------------------------------------


def peaks_of(size: int, node: Node) -> list[bytes]:
    """Return the peaks of the first *size* leaves."""
    peaks: list[bytes] = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            peaks.append(node(level, start >> level))
            start += 1 << level
    return peaks


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """Return the path from a leaf to the root of the first *size* leaves."""
    path: list[bytes] = []
    start = 0
    while size > 1:
        half = 1 << (size - 1).bit_length() - 1
        if index < half:
            path.append(_range(start + half, size - half, node))
            size = half
        else:
            path.append(_range(start, half, node))
            start, index, size = start + half, index - half, size - half
    return path[::-1]


def consistency(old: int, size: int, node: Node) -> list[bytes]:
    """Return the path that shows the first *old* leaves to be the beginning of *size*."""
    path: list[bytes] = []
    start, whole = 0, True
    while old != size:
        half = 1 << (size - 1).bit_length() - 1
        if old <= half:
            path.append(_range(start + half, size - half, node))
            size = half
        else:
            path.append(_range(start, half, node))
            start, old, size, whole = start + half, old - half, size - half, False
    if not whole:
        path.append(_range(start, size, node))
    return path[::-1]


def _range(start: int, size: int, node: Node) -> bytes:
    """Return the root over some leaves; *start* is where a subtree of that size may begin."""
    peaks: list[bytes] = []
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            peaks.append(node(level, start >> level))
            start += 1 << level
    return root_of(peaks)


# -- checking paths (RFC 9162, 2.1.3.2 and 2.1.4.2) ------------------------------------------


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether *path* leads from a leaf to the root of *size* leaves."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = _node(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Tell whether *path* shows that the log of *old* entries begins that of *size*."""
    if old == size:
        return not path and old_root == root
    if not 0 < old < size or not path:
        return False
    steps = [old_root, *path] if old & old - 1 == 0 else list(path)
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    one = other = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            one, other = _node(step, one), _node(step, other)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            other = _node(other, step)
        at, last = at >> 1, last >> 1
    return last == 0 and one == old_root and other == root
