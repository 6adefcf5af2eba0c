"""Which delivery tags to acknowledge, in as few frames as may be."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Acks:
    """Tags count from 1 on each channel and are settled in any order, some never.

    `take()` gives what to send: the last of a row without gaps as one frame for all up to it, the rest one by one.
    """

    _next: int = 1
    _done: set[int] = field(default_factory=set)
    _settled: set[int] = field(default_factory=set)

    def done(self, tag: int) -> None:
        """To be acknowledged."""
        self._done.add(tag)

    def take(self) -> list[tuple[int, bool]]:
        """Pairs of tag and AMQP's `multiple` flag; they count as settled from now on."""
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
