"""Chooses which delivery tags to acknowledge, in as few frames as possible."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Acks:
    """The delivery tags of one channel. They count from 1 and are settled in any order, some never.

    `take()` returns the frames to send: one frame acknowledges all tags up to the first gap, and each tag beyond it
    gets its own.
    """

    _next: int = 1
    _done: set[int] = field(default_factory=set)
    _settled: set[int] = field(default_factory=set)

    def done(self, tag: int) -> None:
        """Mark a tag to be acknowledged."""
        self._done.add(tag)

    def take(self) -> list[tuple[int, bool]]:
        """Return pairs of tag and AMQP's `multiple` flag, and count them as settled."""
        last = self._advance()
        frames = [(last, True)] if last else []
        frames += [(tag, False) for tag in sorted(self._done)]
        self._settled |= self._done
        self._done.clear()
        return frames

    def _advance(self) -> int:
        last = 0
        while self._next in self._done or self._next in self._settled:
            if self._next in self._done:
                self._done.discard(self._next)
                last = self._next
            self._settled.discard(self._next)
            self._next += 1
        return last
