"""The fields of a blueprint document, and what each may hold.

Says nothing of the flow's inside (`flowir` does) nor of the settings of an agent's kind
(its worker factory does).
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from flowir.errors import Problem
from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.budget import Budget, Slice
from swarm.blueprint.places import inside
from swarm.blueprint.sentences import problems_of
from swarm.blueprint.shapes import is_array, is_object

__all__ = (
    "AGENT_NAME",
    "BUILT_IN_PREFIX",
    "EVENTS",
    "ID_RULE",
    "VERSION",
    "is_blueprint_id",
    "model_problems",
)

# How many events a run may have, where its blueprint does not say; half of what a store
# takes may be said, so that there is room for the end.
EVENTS = 51_200
_MOST_EVENTS = 500_000


VERSION = 1
# An id may name files and refs elsewhere, so its alphabet is closed.
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID_ENDS = (".git", ".lock", ".")
AGENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
BUILT_IN_PREFIX = "swarm."


def _check_version(value: int) -> int:
    if value != VERSION:
        raise PydanticCustomError("version", "1, the version of the document's form")
    return value


# No file of Windows may be called so; an id names files in copies of a store.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
ID_RULE = "1 to 63 of a-z, 0-9, '_', '-' and single dots, a letter or digit first"


def is_blueprint_id(text: str) -> bool:
    """Tell whether *text* may be the id of a blueprint."""
    return (
        _ID.fullmatch(text) is not None
        and not text.endswith(_ID_ENDS)
        and text.partition(".")[0] not in _DEVICES
    )


def _check_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise PydanticCustomError("id", ID_RULE)
    if value.endswith(_ID_ENDS):
        raise PydanticCustomError("id", "an id that does not end in '.git', '.lock' or '.'")
    if value.partition(".")[0] in _DEVICES:
        raise PydanticCustomError("id", "an id that is no name of a device, such as 'con' or 'nul'")
    return value


def _check_name(value: str) -> str:
    if not AGENT_NAME.fullmatch(value):
        raise PydanticCustomError(
            "name", "1 to 63 of A-Z, a-z, 0-9, '_', '-', '.', a letter or '_' first"
        )
    if value.startswith(BUILT_IN_PREFIX):
        raise PydanticCustomError("name", "a name that does not begin with 'swarm.'")
    return value


def _check_files(value: Any) -> Any:
    """Take patterns, or what became of them: the digest of each file."""
    names = list(value.values()) if is_object(value) else value
    if not is_array(names) or not all(isinstance(name, str) and name for name in names):
        raise PydanticCustomError("files_type", "an array of paths")
    if is_object(value) and not all(map(_DIGEST.fullmatch, value.values())):
        raise PydanticCustomError("files_type", "the digest of each file, in hex")
    return value


_Text = Annotated[str, Field(min_length=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)


class LimitsModel(_Strict):
    """What one run may use, and how much of all its runs may go on at a time.

    The language's own limits may be lower, not higher.
    """

    fuel: Annotated[int, Field(ge=1, le=DEFAULT_LIMITS.fuel)] = DEFAULT_LIMITS.fuel
    lanes: Annotated[int, Field(ge=1, le=DEFAULT_LIMITS.lanes)] = DEFAULT_LIMITS.lanes
    in_flight: Annotated[int, Field(ge=1, le=DEFAULT_LIMITS.in_flight)] = DEFAULT_LIMITS.in_flight
    budget: Budget = Budget()
    concurrency: Annotated[int, Field(ge=1)] | None = None
    events: Annotated[int, Field(ge=10, le=_MOST_EVENTS)] = EVENTS


class ReserveModel(_Strict):
    """What one attempt may use at most: held back of the run's budget before it begins."""

    tokens: Annotated[int, Field(ge=0)] = 0
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class AgentModel(_Strict):
    """The settings that an agent of every kind may have; its kind knows the others."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    name: Annotated[str, AfterValidator(_check_name)]
    kind: _Text
    description: str = ""
    timeout_s: _Positive | None = None
    verdict: Annotated[list[_Text], Field(min_length=1)] = []
    # Any: `swarm.blueprint.schemas` judges them.
    input_schema: Any = None
    output_schema: Any = None
    tags: list[_Text] = []
    tools: list[_Text] = []
    model: _Text = ""
    instructions: str = ""
    extra: dict[str, Any] = {}
    retry: dict[str, Any] | None = None
    reserve: ReserveModel = ReserveModel()
    budget: Slice = Slice()
    concurrency: Annotated[int, Field(ge=1)] | None = None
    skills: list[_Text] = []
    layers: list[Any] = []
    output: _Text = "value"


class DocumentModel(_Strict):
    """A whole blueprint.

    What is in `layers` is judged by `swarm.blueprint.layers`.
    """

    swarm: Annotated[int, AfterValidator(_check_version)]
    id: Annotated[str, AfterValidator(_check_id)]
    agents: list[AgentModel] = []
    flow: dict[str, Any]
    inputs: dict[str, Any] = {}
    limits: LimitsModel = LimitsModel()
    layers: list[Any] = []
    description: str = ""
    files: Annotated[Any, AfterValidator(_check_files)] = []
    allow: Any = None  # `swarm.compiler.allow` judges it


_MODELS: dict[str, type[BaseModel]] = {
    "$": DocumentModel,
    "$.limits": LimitsModel,
    "$.limits.budget": Budget,
}
_OF_AGENTS: dict[str, type[BaseModel]] = {"budget": Slice, "reserve": ReserveModel}


def model_problems(document: Any) -> list[Problem]:
    """Find every field of *document* that is unknown, missing or of the wrong type.

    >>> [str(problem) for problem in model_problems({"swarm": 1, "id": "A", "flow": {}})][0]
    "$.id: expected 1 to 63 of a-z, 0-9, '_', '-' and single dots, a letter or digit first, got 'A'"
    """
    try:
        DocumentModel.model_validate(document)
    except ValidationError as e:
        return problems_of(e, _MODELS | _models_of_agents(document))
    return []


def _models_of_agents(document: Any) -> dict[str, type[BaseModel]]:
    """Return the models of what an agent has within, by place."""
    agents: Any = document.get("agents") if is_object(document) else None
    return {
        inside(inside("$.agents", i), name): model
        for i in range(len(agents) if is_array(agents) else 0)
        for name, model in _OF_AGENTS.items()
    }
