"""Does the suite notice? Mutants of the modules that guard or decide, each against its tests.

    python -m tests.mutation.check [--seed N] [--count N] [--only FILE] [--list]

Draws lines by a seed that is printed, changes one at a time in a copy of the sources, and
runs the tests of that module alone. A mutant that no test notices has survived: a test is
missing, or the change means nothing. No part of `make test`: it takes most of an hour.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutation.mutants import Mutant, drawn

ROOT = Path(__file__).parents[2]
BOUND_S = 600
# Campaigns need not be long to notice one mutant; both loops would say the same.
SMALL = {
    "CAMPAIGN_STRIDE": "60",
    "GIT_KILLS": "2",
    "SWARM_ACTS": "1500",
    "SWARM_PROCESS_STEPS": "20",
    "SWARM_TOKENS": "1500",
}

# What is changed, and the tests that have to notice, the quickest first.
_CAPABILITY = """
swarm/test_cli_token swarm/test_host_guest swarm/test_capability_attacks docs/test_capability_page
swarm/test_capability_fuzz
"""
_STORE = """
contract/test_journal swarm/test_stores_sqlite swarm/test_stores_sqlite_identity
swarm/test_stores_sqlite_group swarm/test_host_durable swarm/test_stores_sqlite_faults
"""
_VERSIONS = "contract/test_versions swarm/test_host_blueprints acceptance/test_git_faults"
_ENHANCE = "swarm/test_enhance_hostile swarm/test_host_enhance"
_GATE = "swarm/test_api_gate swarm/test_api_attacks"
_PROCESS = """
swarm/test_workers_process swarm/test_workers_process_execute swarm/test_workers_process_faults
"""
TESTS = {
    "flowir/door.py": "flowir/test_door flowir/test_values",
    "flowir/joins.py": "flowir/test_joins flowir/test_machine flowir/test_cancel",
    "flowir/path.py": "flowir/test_path flowir/test_store",
    "swarm/api/bearer.py": _GATE,
    "swarm/api/gate.py": _GATE,
    "swarm/blueprint/contract.py": "swarm/test_blueprint_contract",
    "swarm/blueprint/fitting.py": "swarm/test_blueprint_contract swarm/test_blueprint_inputs",
    "swarm/core/capability/*.py": _CAPABILITY,
    "swarm/core/gates.py": "swarm/test_core_gates",
    "swarm/core/run.py": "swarm/test_core_run swarm/test_host_states",
    "swarm/core/replay.py": "swarm/test_core_resume swarm/test_core_waits",
    "swarm/enhance/bounds.py": _ENHANCE,
    "swarm/enhance/changes.py": _ENHANCE,
    "swarm/enhance/guards.py": _ENHANCE,
    "swarm/enhance/policy.py": _ENHANCE,
    "swarm/enhance/powers.py": _ENHANCE,
    "swarm/enhance/verdicts.py": _ENHANCE,
    "swarm/lua/jail.py": "swarm/test_lua_jail swarm/test_lua_pool",
    "swarm/lua/sandbox.py": "swarm/test_lua_sandbox contract/test_scripts",
    "swarm/stores/chain.py": "contract/test_journal swarm/test_stores_sqlite",
    "swarm/stores/keyfile.py": "swarm/test_stores_keyfile swarm/test_cli_token",
    "swarm/stores/sqlite/binding.py": _STORE,
    "swarm/stores/sqlite/connection.py": _STORE,
    "swarm/stores/sqlite/identity.py": _STORE,
    "swarm/stores/sqlite/journal.py": _STORE,
    "swarm/stores/sqlite/owner.py": _STORE,
    "swarm/stores/sqlite/writer.py": _STORE,
    "swarm/stores/version_rules.py": _VERSIONS,
    "swarm/stores/git/histories.py": _VERSIONS,
    "swarm/stores/git/objects.py": _VERSIONS,
    "swarm/workers/process/keeper.py": _PROCESS,
}


class Undecided(Exception):
    """Neither noticed nor survived."""


def modules() -> dict[str, str]:
    """Return the sources that are drawn from, by their paths."""
    return {
        str(file.relative_to(ROOT)): file.read_text("utf-8")
        for pattern in TESTS
        for file in sorted(ROOT.glob(pattern))
        if file.name != "__init__.py"
    }


def chosen_tests(file: str) -> list[str]:
    named = next(tests for pattern, tests in TESTS.items() if fnmatch(file, pattern))
    return [f"tests/{name}.py" for name in named.split()]


def noticed(mutant: Mutant, copy: Path, source: str, *, narrow: bool) -> str | None:
    """Run the tests of a mutant's module on it; return what noticed, or None.

    Raises: Undecided, when the tests ended otherwise than by passing or failing.
    *narrow*: only the first of them, which is the quickest.
    """
    file = copy / mutant.file
    file.write_text(mutant.applied(source), "utf-8")
    try:
        first, *others = chosen_tests(mutant.file)
        return _failed(copy, [first]) or (_failed(copy, others) if others and not narrow else None)
    finally:
        file.write_text(source, "utf-8")


def _failed(copy: Path, tests: list[str]) -> str | None:
    quick = ("-x", "-q", "-p", "no:cacheprovider", "-k", "not trio")
    command = [sys.executable, "-m", "pytest", *quick, *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), **SMALL}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False,
            timeout=BOUND_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        # A busy machine does that as well as a mutant.
        raise Undecided(f"no end within {BOUND_S} s") from None
    if done.returncode == 0:
        return None
    if done.returncode != 1:
        # Nothing was collected, or the runner itself failed: no test noticed anything.
        raise Undecided(f"the tests ended with {done.returncode}")
    said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return said[0].partition(" - ")[0] if said else "a test failed"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.check")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--narrow", action="store_true", help="only the quickest tests of each")
    parser.add_argument("--numbers", default="", help="only these of what is drawn: 3,5,8")
    parser.add_argument("--only", default="*", help="modules that fit this pattern")
    parser.add_argument("--list", action="store_true", help="draw, and run nothing")
    given = parser.parse_args()
    sources = {file: text for file, text in modules().items() if fnmatch(file, given.only)}
    chosen = drawn(sources, given.count, given.seed)
    print(f"seed {given.seed}: {len(chosen)} of {len(sources)} modules", flush=True)
    if given.list:
        print("\n".join(map(str, chosen)))
        return 0
    scores = Counter[str]()
    with TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        wanted = {int(number) for number in given.numbers.split(",") if number}
        part = [(n, m) for n, m in enumerate(chosen, 1) if not wanted or n in wanted]
        for number, mutant in part:
            began = time.monotonic()
            try:
                why = noticed(mutant, copy, sources[mutant.file], narrow=given.narrow)
                word = "killed" if why else "SURVIVED"
            except Undecided as undecided:
                why, word = str(undecided), "undecided"
            scores[word] += 1
            took = f"{time.monotonic() - began:.0f} s"
            print(
                f"{number:>3} {word:<9} {mutant}\n      {why or 'nobody noticed'} ({took})",
                flush=True,
            )
    print(f"{len(part)} tried: {dict(scores)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
