"""What operators may do, as a Protocol: the composition root implements it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from relay.model import Dispatch
from relay.secret import Secret


class Operations(Protocol):
    """What the API does besides reading the ledger. Every method may raise `Unavailable`."""

    async def replay(self, event_id: str, *, again: bool) -> Sequence[tuple[str, str]]:
        """Match an event with today's rules; the pairs (dispatch id, rule) that were added.

        Raises `NotFound`, and `Conflict` when the event could never be read.
        """
        ...

    async def retry(self, dispatch_id: str, *, render: bool) -> Dispatch:
        """Start the next run of a dispatch, with `render` by today's rule. Raises `NotFound`, `Conflict`."""
        ...

    async def cancel(self, dispatch_id: str) -> Dispatch:
        """End a dispatch. Raises `NotFound`, `Conflict`."""
        ...

    async def try_event(self, source: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        """What the rules would make of a delivery, ready for JSON (`relay.ops.wire.Trial`). Raises `NotFound`."""
        ...

    async def try_kept(self, event_id: str) -> Mapping[str, Any]:
        """What today's rules would make of an event that was kept, likewise. Raises `NotFound`."""
        ...

    def sources(self) -> Sequence[Mapping[str, Any]]:
        """The sources, ready for JSON (`relay.ops.wire.Source`)."""
        ...

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """The rules in file order, ready for JSON (`relay.ops.wire.Rule`)."""
        ...

    async def pause_source(self, name: str) -> None:
        """Stop taking events from a source, on all replicas. Raises `NotFound`."""
        ...

    async def resume_source(self, name: str) -> None:
        """Take events from a source again. Raises `NotFound`."""
        ...

    async def readmit(self, name: str, *, dry_run: bool) -> Mapping[str, Any]:
        """Judge the refused requests of a source again and take in what is right now; with `dry_run` only judge.

        Gives what became of each, ready for JSON (`relay.ops.wire.Readmission`). What was taken in before an error
        stays so, and is not judged again. Raises `NotFound`, `Conflict` for a source that keeps none, `Overloaded`.
        """
        ...

    async def forget(self, name: str) -> bool:
        """Drop the secret that a handshake brought, on all replicas; False when there was none. Raises `NotFound`."""
        ...

    async def learned_secret(self, name: str) -> Secret:
        """The secret that a handshake brought. Raises `NotFound`, also when none did."""
        ...
