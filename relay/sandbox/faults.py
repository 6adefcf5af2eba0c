"""The faults of the simulator, which are set by flags and by `PUT /_faults`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

NAMES: Final = (
    "throttled",
    "throttled_bare",
    "error_before",
    "error_after",
    "lost",
    "reset_before",
    "reset_after",
    "hang",
    "hang_after",
    "html",
    "empty",
    "no_chat",
    "no_stamp",
    "bad_uuid",
    "unauthorized",
    "forbidden",
)
"""The faults that can have a share and can be used in a script."""

OK: Final = "ok"
"""In a script: a request without a fault."""


def _known(name: str) -> str:
    if name != OK and name not in NAMES:
        raise ValueError(f"{name!r} is not a fault: write one of {', '.join((OK, *NAMES))}")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of the simulator, by default none. Durations are seconds, shares are 0 to 1 of the requests.

    Shares and the script affect creations (`on`: of chats, of messages, or both), with at most one fault per request.

    | fault | response | created? |
    | --- | --- | --- |
    | `throttled`, `throttled_bare` | 429 with, without `Retry-After` | no |
    | `error_before`, `error_after` | a 5xx (`status`) | no, yes |
    | `lost` | none: the connection is closed properly | yes |
    | `reset_before`, `reset_after` | none: the connection is reset | no, yes |
    | `hang`, `hang_after` | none; the connection stays open | no, yes |
    | `html` | 200 with a proxy's HTML page | no |
    | `empty`, `no_chat` | 200 with no body, with `{}` | yes |
    | `no_stamp` | a chat without `trigger.meta.relay`, also in lists | yes |
    | `bad_uuid` | a chat with an invalid uuid | yes |
    | `unauthorized`, `forbidden` | 401, 403 | no |
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    latency: Seconds = 0.0
    """The delay of every request."""
    jitter: Seconds = 0.0
    """The maximum of a random delay in addition."""
    throttled: Share = 0.0
    throttled_bare: Share = 0.0
    error_before: Share = 0.0
    error_after: Share = 0.0
    lost: Share = 0.0
    reset_before: Share = 0.0
    reset_after: Share = 0.0
    hang: Share = 0.0
    hang_after: Share = 0.0
    html: Share = 0.0
    empty: Share = 0.0
    no_chat: Share = 0.0
    no_stamp: Share = 0.0
    bad_uuid: Share = 0.0
    unauthorized: Share = 0.0
    forbidden: Share = 0.0
    script: tuple[Annotated[str, AfterValidator(_known)], ...] = ()
    """The faults of the next creations, by name, before shares apply; `ok` is no fault."""
    times: Annotated[int, Field(ge=0)] | None = None
    """The maximum number of faults by shares."""
    on: Literal["chats", "messages", "both"] = "chats"
    rate: Annotated[float, Field(gt=0)] | None = None
    """Chat creations per second above which the answer is 429 with `Retry-After`."""
    retry_after: Annotated[int, Field(ge=0)] = 1
    status: Annotated[int, Field(ge=500, le=599)] = 503
    denied: Literal[401, 403] | None = None
    """Every request gets this status, as with a revoked token."""
    list_lag: Seconds = 0.0
    """How long after its creation a chat appears in the list."""
    list_errors: Share = 0.0
    """The share of chat lists that fail with `status`."""
    seed: int | None = None
    """The seed that makes shares and jitter reproducible."""

    def __post_init__(self) -> None:
        total = sum(self.shares().values())
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of all faults add up to {total:g}: keep them within 1")

    def shares(self) -> dict[str, float]:
        """The shares above 0, by fault."""
        return {name: share for name in NAMES if (share := getattr(self, name))}


WIRE: Final = TypeAdapter(Faults)
"""Reads and writes Faults as JSON. Unknown keys are refused."""
