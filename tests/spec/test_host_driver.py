"""Every case of the specification, through the host's driver."""

from __future__ import annotations

import pytest

from tests.spec.cases import CASES, Case
from tests.spec.host_driver import host_expectation, run_with_host_driver
from tests.spec.verdict import judge

# A host has externs and fuel of its own; the machine's tests cover both.
HOSTED = [case for case in CASES if case.runs and not case.raw.keys() & {"externs", "fuel"}]
CONCURRENT = [case for case in HOSTED if "fanout" in str(case.raw.get("flow"))]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.anyio
@pytest.mark.parametrize("case", HOSTED, ids=lambda case: case.name)
async def test_the_host_gives(case: Case) -> None:
    judge(await run_with_host_driver(case, seed=None), host_expectation(case.expect))


@pytest.mark.anyio
@pytest.mark.parametrize("case", CONCURRENT, ids=lambda case: case.name)
async def test_the_host_gives_whoever_is_slow(case: Case) -> None:
    for seed in range(5):
        judge(await run_with_host_driver(case, seed=seed), host_expectation(case.expect))
