"""Versions of blueprints in a bare git repository.

repository   the repository itself: made, opened, locked, its leftovers swept away
objects      objects that are looked at before libgit2 is asked for them
facts        meta.json, and the tree of a version
index        an SQLite file that finds entries; made again from git when it is lost
histories    the port `swarm.ports.versions.VersionStore`, put together from these
"""

from swarm.stores.git.histories import GitVersions

__all__ = ("GitVersions",)
