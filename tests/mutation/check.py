"""Does the suite notice? Mutants of the modules that guard or decide, each against its tests.

    python -m tests.mutation.check [--seed N] [--count N] [--only FILE] [--list] [--table]

Draws lines by a seed that is printed, changes one at a time in a copy of the sources, and
runs the tests of that module alone, its own first, until one fails. A mutant that no test
notices has survived: a test is missing, or the change means nothing. What was killed is kept
in `.mutants.json`, so that a run decides only what is open. No part of `make test`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

from tests.mutation.kept import Kept
from tests.mutation.mutants import Mutant, drawn
from tests.mutation.trial import Bench
from tests.mutation.watched import TESTS, chosen_tests

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".mutants.json"

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


def _decide(given: argparse.Namespace, open_: list[_Numbered], sources: Sources) -> Iterator[str]:
    """Try what is open, each worker in a copy of its own; tell each verdict as it comes."""
    kept = Kept(FOUND)
    benches = Queue[Bench]()

    def one(numbered: _Numbered) -> str:
        number, mutant = numbered
        bench, began = benches.get(), time.monotonic()
        try:
            verdict = bench.verdict(mutant, sources[mutant.file], chosen_tests(mutant.file))
        finally:
            benches.put(bench)
        kept.keep(mutant, sources[mutant.file], verdict)
        took = f"({time.monotonic() - began:.0f} s)"
        return f"{number:>3} {verdict.word:<9} {mutant}\n      {verdict.why} {took}"

    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(given.jobs) as pool:
        for number in range(given.jobs):
            copy = Path(folder) / f"copy{number}"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            benches.put(Bench(copy))
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
