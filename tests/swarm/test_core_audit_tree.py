"""The Merkle tree: against the vectors of RFC 6962's reference, and in all small cases."""

from __future__ import annotations

from hashlib import sha256

import pytest

from swarm.core.audit.tree import (
    Tree,
    consistency,
    inclusion,
    is_consistent,
    is_included,
    leaf_hash,
    peaks_of,
    subtree,
)

# Leaves and roots of the reference implementation of certificate transparency.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MOST = 40


def body(index: int) -> bytes:
    return f"entry {index}".encode()


class Grown:
    """A tree with what it stored, and how often a stored hash was asked for."""

    def __init__(self, size: int) -> None:
        self.tree = Tree()
        self.leaves = [leaf_hash(body(index)) for index in range(size)]
        self.stored = [self.tree.add(leaf) for leaf in self.leaves]
        self.asked = 0

    def node(self, level: int, number: int) -> bytes:
        self.asked += 1
        last = ((number + 1) << level) - 1
        found = subtree(self.leaves[last], self.stored[last], level)
        assert len(found) == 32
        return found


def root_by_hand(bodies: list[bytes]) -> bytes:
    """Compute a root as the definition says it, with nothing stored."""
    if not bodies:
        return sha256(b"").digest()
    if len(bodies) == 1:
        return sha256(b"\0" + bodies[0]).digest()
    half = 1
    while half * 2 < len(bodies):
        half *= 2
    left, right = root_by_hand(bodies[:half]), root_by_hand(bodies[half:])
    return sha256(b"\1" + left + right).digest()


def test_roots_are_those_of_the_reference() -> None:
    tree = Tree()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.add(leaf_hash(bytes.fromhex(leaf)))
        assert tree.root.hex() == root


def test_every_small_tree_has_the_root_of_its_definition() -> None:
    grown, bodies = Grown(MOST), [body(index) for index in range(MOST)]
    for size in range(MOST + 1):
        tree = Tree(size, peaks_of(size, grown.node))
        assert tree.root == root_by_hand(bodies[:size])


def test_every_entry_is_proved_in_every_small_tree_and_nowhere_else() -> None:
    grown = Grown(MOST)
    roots = [Tree(size, peaks_of(size, grown.node)).root for size in range(MOST + 1)]
    for size in range(1, MOST + 1):
        for index in range(size):
            path = inclusion(index, size, grown.node)
            leaf = leaf_hash(body(index))
            assert is_included(leaf, index, size, path, roots[size])
            assert not is_included(leaf, index ^ 1, size, path, roots[size])
            assert not is_included(leaf_hash(b"x"), index, size, path, roots[size])
            assert not is_included(leaf, index, size, path, roots[size - 1])
            assert not is_included(leaf, index, size, [*path, leaf], roots[size])
            if path:
                assert not is_included(leaf, index, size, path[:-1], roots[size])
                assert not is_included(leaf, index, size, [leaf, *path[1:]], roots[size])


def test_every_beginning_is_proved_to_be_one() -> None:
    grown = Grown(MOST)
    roots = [Tree(size, peaks_of(size, grown.node)).root for size in range(MOST + 1)]
    for size in range(1, MOST + 1):
        for old in range(1, size + 1):
            path = consistency(old, size, grown.node)
            assert is_consistent(old, size, roots[old], roots[size], path)
            assert not is_consistent(old, size, roots[old - 1], roots[size], path)
            assert not is_consistent(old, size, roots[old], roots[size - 1], path)
            if path:
                assert not is_consistent(old, size, roots[old], roots[size], path[:-1])
                other = [bytes(32), *path[1:]]
                assert not is_consistent(old, size, roots[old], roots[size], other)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (5, 3)])
def test_no_entry_is_outside_the_tree(index: int, size: int) -> None:
    assert not is_included(leaf_hash(b""), index, size, [], leaf_hash(b""))


@pytest.mark.parametrize(("old", "size"), [(0, 5), (-1, 5), (6, 5)])
def test_no_beginning_is_longer_than_the_whole(old: int, size: int) -> None:
    assert not is_consistent(old, size, b"", b"", [b""])


def test_a_proof_takes_few_stored_hashes_and_an_entry_stores_one_or_two() -> None:
    size = 1 << 14
    grown = Grown(size - 1)
    assert sum(len(made) for made in grown.stored) < 2 * 32 * size
    for index in (0, 1, size // 2, size - 2):
        grown.asked = 0
        path = inclusion(index, size - 1, grown.node)
        assert len(path) <= 14
        assert grown.asked <= 14 * 4
    grown.asked = 0
    assert len(consistency(size // 3, size - 1, grown.node)) <= 2 * 14
    assert grown.asked <= 14 * 4
