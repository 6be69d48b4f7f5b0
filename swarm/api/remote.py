"""A host from afar: `swarm.connect(url, token=…)`, with the names that a host near by has.

docs/http.md has a program. Every write carries an `Idempotency-Key`, so what did not get
through is sent again; a stream of events that breaks goes on behind the last one that came.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, cast
from urllib.parse import quote

import anyio
import httpx2

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.api.messages import (
    BlueprintPage,
    Delegated,
    DiffView,
    EntryPage,
    EntryView,
    HostView,
    OutputList,
    OutputView,
    QuestionList,
    QuestionView,
    RegisteredView,
    RunDetail,
    RunPage,
    RunView,
    TagList,
    VersionView,
)
from swarm.core.events import Event
from swarm.core.run import RunOutcome, RunStatus
from swarm.errors import BlueprintInvalid, Denied, Place, Problem, Refused, SwarmError

__all__ = ("RemoteBlueprints", "RemoteHost", "RemoteRun", "opened")

_TRIES: Final = 4
_FIRST_S: Final = 0.2
_MOST_BYTES: Final = 64 * 1024 * 1024


def opened(url: str, token: str, timeout_s: float, transport: Any) -> RemoteHost:
    """Return the host at *url*; `swarm.connect` says more."""
    return RemoteHost(
        httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(timeout_s),
            transport=transport,
        )
    )


class RemoteHost:
    """What a served host offers; each method raises as the host's own does, and Denied.

    Raises: SwarmError (http.unreachable), for a server that is not there, or is another.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._line = _Line(client)

    async def __aenter__(self) -> RemoteHost:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._line.client.aclose()

    @property
    def blueprints(self) -> RemoteBlueprints:
        """The versions of blueprints there."""
        return RemoteBlueprints(self._line)

    async def start(
        self,
        blueprint: str | Mapping[str, Any],
        input: Any = None,
        *,
        run_id: str | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Start a run of a version (`id`, `id@selector`), or of a document."""
        order: dict[str, Any] = {"input": input, "run_id": run_id, "budget": budget}
        order["blueprint" if isinstance(blueprint, str) else "document"] = blueprint
        made = RunDetail.model_validate(await self._line.write("/v1/runs", order))
        return RemoteRun(self._line, made.id)

    async def run(self, run_id: str) -> RemoteRun:
        """Return a run by its id."""
        run = RemoteRun(self._line, run_id)
        await run.show()
        return run

    async def runs(
        self,
        status: RunStatus | Sequence[RunStatus] | None = None,
        *,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[RunView]:
        """Return runs, the latest first."""
        query = {"status": status, "limit": limit, "before": before}
        return RunPage.model_validate(await self._line.read("/v1/runs", query)).runs

    async def resume(self, run_id: str) -> RemoteRun:
        """Go on with a run that rests."""
        await self._line.write(f"/v1/runs/{_part(run_id)}/resume")
        return RemoteRun(self._line, run_id)

    async def rerun(
        self,
        run_id: str,
        *,
        from_step: str,
        set: Mapping[str, Any] | None = None,
        new_id: str | None = None,
    ) -> RemoteRun:
        """Start a run that begins with another's answers, up to a step."""
        order = {"from_step": from_step, "set": dict(set or {}), "run_id": new_id}
        found = await self._line.write(f"/v1/runs/{_part(run_id)}/rerun", order)
        return RemoteRun(self._line, RunDetail.model_validate(found).id)

    async def delegate(self, verbs: Sequence[str] | None = None, **order: Any) -> str:
        """Mint a token that has less than this one."""
        wanted = None if verbs is None else list(verbs)
        found = await self._line.write("/v1/tokens", {"verbs": wanted, **order})
        return Delegated.model_validate(found).token

    async def revoke(self, **what: str) -> None:
        """Void tokens that were minted before now."""
        await self._line.write("/v1/tokens/revoke", what)

    async def prove(self, run: str, step: str | None = None) -> Mapping[str, Any]:
        """Return the proof of what the audit log has about a run."""
        return await self._line.read("/v1/audit/proof", {"run": run, "step": step})

    async def show(self) -> HostView:
        """Return how the host is."""
        return HostView.model_validate(await self._line.read("/v1/host"))


class RemoteRun:
    """A run from afar."""

    def __init__(self, line: _Line, run_id: str) -> None:
        self._line = line
        self._path = f"/v1/runs/{_part(run_id)}"
        self.id = run_id

    async def show(self) -> RunDetail:
        """Return how the run stands, and what came of it."""
        return RunDetail.model_validate(await self._line.read(self._path))

    async def status(self) -> RunStatus:
        """Return how the run stands."""
        return (await self.show()).status

    async def events(self, since: int = 0) -> AsyncGenerator[Event]:
        """Watch the run: every event behind *since*, without a gap; ends with it, or its rest.

        A line that breaks is made anew; after some tries in a row that failed, it raises.
        """
        tries = 0
        while True:
            try:
                async for event in self._line.stream(f"{self._path}/events", since):
                    tries, since = 0, event["seq"]
                    yield event
            except _BrokenError as broken:
                tries += 1
                if tries >= _TRIES:
                    raise broken.error from broken
                await anyio.sleep(_FIRST_S * 2**tries)
            else:
                return

    async def wait(self) -> RunOutcome:
        """Return how the run ended, once it has, or that it rests."""
        async for _ in self.events():
            pass
        shown = await self.show()
        return RunOutcome(self.id, shown.status, shown.ctx, shown.error, shown.partial)

    async def result(self) -> Any:
        """Return the final context.

        Raises: RunFailed.
        """
        return (await self.wait()).unwrap()

    async def cancel(self, reason: str = "cancelled by a guest") -> None:
        """Ask for the end of the run."""
        await self._line.write(f"{self._path}/cancel", {"reason": reason})

    async def pause(self) -> None:
        """Let the run rest."""
        await self._line.write(f"{self._path}/pause")

    async def questions(self) -> Sequence[QuestionView]:
        """Return what the run asks of people."""
        found = await self._line.read(f"{self._path}/questions")
        return QuestionList.model_validate(found).questions

    async def answer(self, question_id: str, value: Any) -> None:
        """Answer a question, in the name of the token's subject."""
        path = f"{self._path}/questions/{_part(question_id)}/answer"
        await self._line.write(path, {"value": value})

    async def outputs(self) -> Sequence[OutputView]:
        """Return what the run's steps handed over as data."""
        return OutputList.model_validate(await self._line.read(f"{self._path}/outputs")).outputs

    async def output(self, which: str) -> bytes:
        """Return the bytes of an output: by reference, name, key, or `KEY/NAME`."""
        answer = await self._line.send("GET", f"{self._path}/outputs/{_part(which, '/')}")
        return answer.content


class RemoteBlueprints:
    """The versions of blueprints from afar."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    async def list(self) -> Sequence[EntryView]:
        """Return the newest entry of each blueprint, by id."""
        found: list[EntryView] = []
        after: str | None = None
        while True:
            query = {"limit": 1000, "after": after}
            page = BlueprintPage.model_validate(await self._line.read("/v1/blueprints", query))
            found += page.blueprints
            after = page.next
            if after is None:
                return found

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[EntryView]:
        """Return entries, the newest first."""
        query = {"limit": limit, "before": before}
        found = await self._line.read(f"/v1/blueprints/{_part(blueprint)}/log", query)
        return EntryPage.model_validate(found).entries

    async def read(self, selector: str) -> VersionView:
        """Return the document and the files of a version."""
        blueprint, _, wanted = selector.partition("@")
        path = f"/v1/blueprints/{_part(blueprint)}/versions/{_part(wanted or 'latest')}"
        return VersionView.model_validate(await self._line.read(path))

    async def tags(self, blueprint: str) -> Mapping[str, EntryView]:
        """Return what each tag points at."""
        found = await self._line.read(f"/v1/blueprints/{_part(blueprint)}/tags")
        return TagList.model_validate(found).tags

    async def diff(self, blueprint: str, old: str, new: str = "latest") -> DiffView:
        """Compare two versions of a blueprint."""
        path = f"/v1/blueprints/{_part(blueprint)}/diff"
        return DiffView.model_validate(await self._line.read(path, {"old": old, "new": new}))

    async def register(
        self,
        source: Mapping[str, Any],
        *,
        reason: str = "",
        bump: Literal["major", "minor", "patch"] = "patch",
        label: str | None = None,
        expected: str | None = None,
    ) -> RegisteredView:
        """Add a version: a document, or files (texts by path, one of them the script)."""
        form = "document" if "swarm" in source else "files"
        order = {form: dict(source), "reason": reason, "bump": bump}
        order |= {"label": label, "expected": expected}
        return RegisteredView.model_validate(await self._line.write("/v1/blueprints", order))

    async def tag(self, selector: str, tag: str) -> EntryView:
        """Let a tag point at a version."""
        blueprint, _, wanted = selector.partition("@")
        path = f"/v1/blueprints/{_part(blueprint)}/tags/{_part(tag)}"
        found = await self._line.write(path, {"selector": wanted or "latest"}, method="PUT")
        return EntryView.model_validate(found)

    async def untag(self, blueprint: str, tag: str) -> None:
        """Remove a tag."""
        path = f"/v1/blueprints/{_part(blueprint)}/tags/{_part(tag)}"
        await self._line.write(path, method="DELETE")

    async def rollback(self, selector: str, *, reason: str = "") -> RegisteredView:
        """Put an older version at the head of the history again."""
        blueprint, _, wanted = selector.partition("@")
        order = {"selector": wanted or "latest", "reason": reason}
        path = f"/v1/blueprints/{_part(blueprint)}/rollback"
        return RegisteredView.model_validate(await self._line.write(path, order))


class _BrokenError(Exception):
    """A stream that ended before its end; `error` is what to tell in the end."""

    def __init__(self, error: SwarmError) -> None:
        super().__init__(str(error))
        self.error = error


class _Line:
    """Requests and their answers; what did not get through is sent again."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def read(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Ask for something, and return it."""
        answer = await self.send("GET", path, params=_said(query or {}))
        return _decoded(answer)

    async def write(
        self, path: str, body: Mapping[str, Any] | None = None, *, method: str = "POST"
    ) -> Any:
        """Let something be done, once; return the answer."""
        headers = {"idempotency-key": secrets.token_hex(16)}
        sent = {} if body is None else {"json": dict(body)}
        answer = await self.send(method, path, headers=headers, **sent)
        return None if answer.status_code == 204 else _decoded(answer)

    async def send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Send a request, again where that helps.

        Raises: as the problem document that comes back says; SwarmError (http.unreachable).
        """
        tries = 0
        while True:
            tries += 1
            try:
                answer = await self.client.request(method, path, **more)
            except httpx2.TransportError as error:
                if tries >= _TRIES:
                    raise _unreachable(self.client, error) from error
            else:
                if answer.is_success:
                    return answer
                if answer.status_code not in (429, 503) or tries >= _TRIES:
                    raise _told(answer.status_code, answer.content)
            await anyio.sleep(_FIRST_S * 2**tries)

    async def stream(self, path: str, since: int) -> AsyncGenerator[Event]:
        """Read events up to the end of the stream.

        Raises: _BrokenError, where it was none, or a later try may help.
        """
        query = {"form": "lines", "since": since}
        # Silence is no sign: a run may wait for days.
        timeout = httpx2.Timeout(self.client.timeout.connect, read=None)
        try:
            async with self.client.stream("GET", path, params=query, timeout=timeout) as answer:
                if not answer.is_success:
                    error = _told(answer.status_code, await answer.aread())
                    if answer.status_code in (429, 503):
                        raise _BrokenError(error)
                    raise error
                async for line in answer.aiter_lines():
                    event = _event(line)
                    if event is not None:
                        yield event
        except httpx2.TransportError as error:
            raise _BrokenError(_unreachable(self.client, error)) from error


def _event(line: str) -> Event | None:
    if not line:
        return None
    event = parse_json(line, max_bytes=_MOST_BYTES)
    if event["kind"] == "problem":
        raise _error(event)
    return cast("Event", event)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _part(text: str, safe: str = "") -> str:
    return quote(text, safe)


def _decoded(answer: httpx2.Response) -> Any:
    try:
        return parse_json(answer.content, max_bytes=_MOST_BYTES, at="answer")
    except FlowError as error:
        said = f"{answer.url}: expected the answer of a host, got another"
        raise SwarmError("http.unreachable", said) from error


def _told(status: int, body: bytes) -> SwarmError:
    """Read a problem document into the error that it tells of."""
    try:
        document = parse_json(body, max_bytes=_MOST_BYTES)
        return _error({"status": status, **document})
    except (FlowError, TypeError, KeyError):
        said = f"expected the answer of a host, got status {status} and something else"
        return SwarmError("http.unreachable", said)


def _error(document: Mapping[str, Any]) -> SwarmError:
    code, detail = document["code"], document["detail"]
    if code == "blueprint.invalid":
        return BlueprintInvalid([_problem(one) for one in document["problems"]])
    if document["status"] in (401, 403):
        return Denied(code, detail)
    return (Refused if document["status"] < 500 else SwarmError)(code, detail)


def _problem(one: Mapping[str, Any]) -> Problem:
    where = Place(one["path"] or "", one["line"])
    return Problem(one["code"], one["message"], where, one["at"], one["hint"])


def _unreachable(client: httpx2.AsyncClient, error: Exception) -> SwarmError:
    said = f"{client.base_url}: expected a host that answers, got {type(error).__name__}: {error}"
    return SwarmError("http.unreachable", said)
