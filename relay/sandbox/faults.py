"""What can go wrong at Cargo, as a record that flags and `PUT /_faults` fill in."""

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
"""The faults that have a share and may stand in a script."""

OK: Final = "ok"
"""In a script: this request goes well."""


def _known(name: str) -> str:
    if name != OK and name not in NAMES:
        raise ValueError(f"{name!r} is not a fault: write one of {', '.join((OK, *NAMES))}")
    return name


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults of the simulator; the default is none. Durations are seconds, shares are 0 to 1 of the requests.

    Shares and script strike creations (`on`: of chats, of messages, or both); at most one strikes a request.

    | fault | answer | made? |
    | --- | --- | --- |
    | `throttled`, `throttled_bare` | 429 with, without `Retry-After` | no |
    | `error_before`, `error_after` | a 5xx (`status`) | no, yes |
    | `lost` | none: the connection is closed in good order | yes |
    | `reset_before`, `reset_after` | none: the connection is reset | no, yes |
    | `hang`, `hang_after` | none, ever; the connection stays open | no, yes |
    | `html` | 200 with a proxy's HTML page | no |
    | `empty`, `no_chat` | 200 with no body, with `{}` | yes |
    | `no_stamp` | a chat whose `trigger.meta.relay` is gone, from lists too | yes |
    | `bad_uuid` | a chat whose uuid is none | yes |
    | `unauthorized`, `forbidden` | 401, 403 | no |
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    latency: Seconds = 0.0
    """Every request waits this long before it is worked on."""
    jitter: Seconds = 0.0
    """And up to this much longer."""
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
    """Faults by name, one per following creation, before any share; `ok` lets one through."""
    times: Annotated[int, Field(ge=0)] | None = None
    """Shares strike this many times at most."""
    on: Literal["chats", "messages", "both"] = "chats"
    rate: Annotated[float, Field(gt=0)] | None = None
    """More creations of chats than this in a second are answered 429 with `Retry-After`."""
    retry_after: Annotated[int, Field(ge=0)] = 1
    status: Annotated[int, Field(ge=500, le=599)] = 503
    denied: Literal[401, 403] | None = None
    """Every request is answered so, as with a token that was revoked."""
    list_lag: Seconds = 0.0
    """A chat shows in the list only this long after it was made."""
    list_errors: Share = 0.0
    """This share of chat lists is answered with `status`."""
    seed: int | None = None
    """Makes shares and jitter repeatable."""

    def __post_init__(self) -> None:
        total = sum(self.shares().values())
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of all faults add up to {total:g}: keep them within 1")

    def shares(self) -> dict[str, float]:
        """Fault to share, those above 0."""
        return {name: share for name in NAMES if (share := getattr(self, name))}


WIRE: Final = TypeAdapter(Faults)
"""Reads and writes Faults as JSON; unknown keys are refused."""
