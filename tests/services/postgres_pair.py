"""A PostgreSQL with a standby that has each commit, and takes its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from tests.services.postgres import Cluster
from tests.services.process import wait_until

_STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{}'"


class Pair:
    """`primary` answers a COMMIT when `standby` has it too."""

    def __init__(self) -> None:
        self.primary = Cluster()
        try:
            self.standby = Cluster(standby=self.primary)
        except BaseException:
            self.primary.close()
            raise
        try:
            self._commit_on_both()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database, with both hosts. It goes with the pair."""
        name = f"test_{uuid4().hex[:12]}"
        self.primary.run(f'CREATE DATABASE "{name}"')
        yield f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/{name}"

    def fail_over(self) -> None:
        """The primary is killed, and the standby takes writes, alone."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """What was killed comes back as the standby; commits are on both again."""
        self.standby.follow(self.primary)
        self._commit_on_both()

    def close(self) -> None:
        self.standby.close()
        self.primary.close()

    def _commit_on_both(self) -> None:
        self._await("async")
        self.primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.run("SELECT pg_reload_conf()")
        self._await("sync")

    def _await(self, state: str) -> None:
        ask = _STREAMS.format(state)
        wait_until(lambda: self.primary.ask(ask) == 1, seconds=60, alive=lambda: True, describe=lambda: ask)


@contextmanager
def run_pair() -> Iterator[Pair]:
    pair = Pair()
    try:
        yield pair
    finally:
        pair.close()
