"""Does the suite notice? Mutants of the modules that guard or decide, each against its tests.

    python -m tests.mutation.check [--seed N] [--count N] [--only FILE] [--list] [--table]

Draws lines by a seed that is printed, changes one at a time in a copy of the sources, and
runs the tests of that module alone, its own first, until one fails. A mutant that no test
notices has survived: a test is missing, or the change means nothing. What was killed is kept
in `.mutants.json`, so that a run decides only what is open. No part of `make test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.mutation.kept import Kept, Verdict
from tests.mutation.mutants import Mutant, drawn

ROOT = Path(__file__).parents[2]
BOUND_S = 600
FOUND = ROOT / ".mutants.json"
# Campaigns need not be long to notice one mutant; both loops would say the same.
SMALL = {
    "CAMPAIGN_STRIDE": "60",
    "GIT_KILLS": "2",
    "SWARM_ACTS": "1500",
    "SWARM_PROCESS_STEPS": "20",
    "SWARM_TOKENS": "1500",
}

# What is changed, and the tests that have to notice: the module's own first, then the quickest.
_CAPABILITY = """
swarm/test_capability_mint swarm/test_capability_rules swarm/test_capability_standing
swarm/test_capability_attacks docs/test_capability_page swarm/test_cli_token
swarm/test_host_guest swarm/test_capability_fuzz
"""
_STORE = """
swarm/test_stores_sqlite_writer contract/test_journal swarm/test_stores_sqlite
swarm/test_stores_sqlite_identity swarm/test_stores_sqlite_group swarm/test_host_durable
swarm/test_stores_sqlite_faults
"""
_VERSIONS = "contract/test_versions swarm/test_host_blueprints acceptance/test_git_faults"
_ENHANCE = "swarm/test_enhance_hostile swarm/test_host_enhance"
_GATE = "swarm/test_api_gate swarm/test_api_attacks"
_PROCESS = """
swarm/test_workers_process_keeper swarm/test_workers_process swarm/test_workers_process_execute
swarm/test_workers_process_faults swarm/test_workers_process_hostile
"""
TESTS = {
    "flowir/door.py": "flowir/test_door flowir/test_values flowir/test_store",
    "flowir/joins.py": "flowir/test_joins flowir/test_machine flowir/test_cancel",
    "flowir/path.py": "flowir/test_path flowir/test_store",
    "swarm/api/bearer.py": f"swarm/test_api_bearer {_GATE}",
    "swarm/api/gate.py": f"{_GATE} swarm/test_api_contract",
    "swarm/blueprint/contract.py": "swarm/test_blueprint_contract",
    "swarm/blueprint/fitting.py": "swarm/test_blueprint_contract swarm/test_blueprint_inputs",
    "swarm/core/capability/*.py": _CAPABILITY,
    "swarm/core/gates.py": "swarm/test_core_gates swarm/test_host",
    "swarm/core/run.py": "swarm/test_core_run swarm/test_host_states",
    "swarm/core/replay.py": """
        swarm/test_core_resume swarm/test_core_waits swarm/test_core_replay
        swarm/test_core_mutations
    """,
    "swarm/enhance/bounds.py": f"swarm/test_enhance_bounds {_ENHANCE}",
    "swarm/enhance/changes.py": f"swarm/test_enhance_changes {_ENHANCE}",
    "swarm/enhance/guards.py": f"swarm/test_enhance_guards {_ENHANCE}",
    "swarm/enhance/policy.py": f"swarm/test_enhance_policy {_ENHANCE}",
    "swarm/enhance/powers.py": f"swarm/test_enhance_powers {_ENHANCE}",
    "swarm/enhance/verdicts.py": _ENHANCE,
    "swarm/lua/jail.py": "swarm/test_lua_jail swarm/test_lua_pool",
    "swarm/lua/sandbox.py": "swarm/test_lua_sandbox contract/test_scripts",
    "swarm/stores/chain.py": "contract/test_journal swarm/test_stores_sqlite",
    "swarm/stores/keyfile.py": "swarm/test_stores_keyfile swarm/test_cli_token",
    "swarm/stores/sqlite/binding.py": _STORE,
    "swarm/stores/sqlite/connection.py": _STORE,
    "swarm/stores/sqlite/identity.py": f"swarm/test_stores_sqlite_identity {_STORE}",
    "swarm/stores/sqlite/journal.py": _STORE,
    "swarm/stores/sqlite/owner.py": _STORE,
    "swarm/stores/sqlite/writer.py": _STORE,
    "swarm/stores/version_rules.py": f"swarm/test_stores_version_rules {_VERSIONS}",
    "swarm/stores/git/histories.py": f"swarm/test_stores_git_histories {_VERSIONS}",
    "swarm/stores/git/objects.py": f"swarm/test_stores_git_objects {_VERSIONS}",
    "swarm/workers/process/keeper.py": _PROCESS,
}


Sources = dict[str, str]
_Numbered = tuple[int, Mutant]


def modules() -> Sources:
    """Return the sources that are drawn from, by their paths."""
    return {
        str(file.relative_to(ROOT)): file.read_text("utf-8")
        for pattern in TESTS
        for file in sorted(ROOT.glob(pattern))
        if file.name != "__init__.py"
    }


def chosen_tests(file: str) -> list[str]:
    named = next(tests for pattern, tests in TESTS.items() if fnmatch(file, pattern))
    return [f"tests/{name}.py" for name in dict.fromkeys(named.split())]


def verdict_on(mutant: Mutant, copy: Path, source: str, tests: list[str]) -> Verdict:
    """Run *tests* on a mutant, in a copy of everything."""
    file = copy / mutant.file
    _write(file, mutant.applied(source))
    try:
        return _tested(copy, tests)
    finally:
        _write(file, source)


def _write(file: Path, text: str) -> None:
    """Write a module and forget its bytecode, which knows times by the second only."""
    file.write_text(text, "utf-8")
    for old in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        old.unlink()


def _tested(copy: Path, tests: list[str]) -> Verdict:
    quick = ("-x", "-q", "-p", "no:cacheprovider", "-k", "not trio")
    command = [sys.executable, "-m", "pytest", *quick, *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), **SMALL}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False,
            timeout=BOUND_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        # A busy machine does that as well as a mutant.
        return Verdict("undecided", f"no end within {BOUND_S} s")
    if done.returncode == 0:
        return Verdict("SURVIVED", "nobody noticed")
    if done.returncode != 1:
        # Nothing was collected, or the runner itself failed: no test noticed anything.
        return Verdict("undecided", f"the tests ended with {done.returncode}")
    said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Verdict("killed", said[0].partition(" - ")[0] if said else "a test failed")


def _decide(given: argparse.Namespace, open_: list[_Numbered], sources: Sources) -> Iterator[str]:
    """Try what is open, each worker in a copy of its own; tell each verdict as it comes."""
    kept = Kept(FOUND)
    copies = Queue[Path]()

    def one(numbered: _Numbered) -> str:
        number, mutant = numbered
        copy, began = copies.get(), time.monotonic()
        try:
            verdict = verdict_on(mutant, copy, sources[mutant.file], chosen_tests(mutant.file))
        finally:
            copies.put(copy)
        kept.keep(mutant, sources[mutant.file], verdict)
        took = f"({time.monotonic() - began:.0f} s)"
        return f"{number:>3} {verdict.word:<9} {mutant}\n      {verdict.why} {took}"

    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(given.jobs) as pool:
        for number in range(given.jobs):
            copy = Path(folder) / f"copy{number}"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            copies.put(copy)
        yield from (done.result() for done in as_completed(pool.submit(one, m) for m in open_))


def _rows(chosen: list[Mutant], sources: Sources) -> Iterator[str]:
    """Yield the table of docs/testing.md."""
    kept = Kept(FOUND)
    for number, mutant in enumerate(chosen, 1):
        verdict = kept.verdict(mutant, sources[mutant.file])
        new = mutant.new.strip().replace("|", "\\|")
        word = verdict.word.lower() if verdict else "not tried"
        yield f"| {number} | `{mutant.file}:{mutant.line}` | `{new}` | {word} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation.check")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--numbers", default="", help="only these of what is drawn: 3,5,8")
    parser.add_argument("--only", default="*", help="modules that fit this pattern")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="draw, and run nothing")
    parser.add_argument("--table", action="store_true", help="what is known, and run nothing")
    given = parser.parse_args()
    sources = {file: text for file, text in modules().items() if fnmatch(file, given.only)}
    chosen = drawn(sources, given.count, given.seed)
    print(f"seed {given.seed}: {len(chosen)} of {len(sources)} modules", flush=True)
    if given.list or given.table:
        print("\n".join(_rows(chosen, sources) if given.table else map(str, chosen)))
        return 0
    wanted = {int(number) for number in given.numbers.split(",") if number}
    part = [(n, m) for n, m in enumerate(chosen, 1) if not wanted or n in wanted]
    known = {n: Kept(FOUND).verdict(m, sources[m.file]) for n, m in part}
    open_ = [(n, m) for n, m in part if (v := known[n]) is None or v.word != "killed"]
    for line in _decide(given, open_, sources):
        print(line, flush=True)
    found = [Kept(FOUND).verdict(m, sources[m.file]) for _, m in part]
    print(f"{len(part)} asked for: {dict(Counter(v.word for v in found if v))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
