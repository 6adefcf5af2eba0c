"""SQLite: one file, one relay, one connection that writes.

Statements of a turn run where the caller runs; only the commit, which waits for the disk, runs in the writer's
thread. (Python's sqlite3 gives up the interpreter lock at each row; from a thread beside a busy event loop that
measures 3,000 rows/s, this way 50,000.) What is slow, as pruning, runs in that thread whole.

Reads run on connections and in threads of their own: one for the service, whose reads are short, and two for people,
whose searches are not, and end after some seconds.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from relay.errors import Unavailable
from relay.ledger.engine.commit import Work
from relay.ledger.engine.faults import BROWSE_FOR, Unusable, away, describe, is_away, too_long
from relay.ledger.engine.sql import driver, send
from relay.ledger.engine.vault import OPEN, Vault
from relay.telemetry import get_log

log = get_log()

T = TypeVar("T")
Clock = Callable[[], int]

MEMORY: Final = ":memory:"
_BUSY_FOR: Final = 5.0
_MODE: Final = 0o600
_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "temp_store = MEMORY",
    "wal_autocheckpoint = 4000",
)
_LEAST: Final = (3, 35)
"""RETURNING."""
_TRIAL: Final = """
    CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT, c BLOB) WITHOUT ROWID;
    CREATE UNIQUE INDEX i ON t (b) WHERE b IS NOT NULL;
    INSERT INTO t (a, b) VALUES ('x', 1) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b < 1 RETURNING a;
    WITH d AS (SELECT a FROM t LIMIT 1) UPDATE t SET b = 2 WHERE a IN (SELECT a FROM d) RETURNING a, b;
    SELECT row_number() OVER (ORDER BY b), sum(b) OVER (ORDER BY b), instr(c, x'00'), (a, b) > ('', 0) FROM t;
"""
_WRITER_CACHE: Final = 16 << 10
"""KiB of pages; what is under way is recent, and the identities are too many for any cache: 64 MiB were no faster."""
_READER_CACHE: Final = 8 << 10
_PEOPLE: Final = 2
_STEPS: Final = 1_000
"""SQLite's instructions between two looks at the clock; a search takes some dozen for a row, and up to a ms each."""


def wall_clock() -> int:
    """Milliseconds since the epoch by this machine's clock."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A store on one file, or in memory. Raises Unusable when the file cannot be what it should be."""

    shares = True
    timeout: float | None = None

    def __init__(self, path: str, *, clock: Clock = wall_clock, vault: Vault = OPEN) -> None:
        self.path = path
        self._clock = clock
        self._closed = False
        _check_library()
        self._lock = None if path == MEMORY else _lock(Path(path))
        self._writing = asyncio.Lock()
        self._writer_thread = ThreadPoolExecutor(1, "ledger-writer")
        self._reader_thread = ThreadPoolExecutor(1, "ledger-reader")
        self._people_threads = ThreadPoolExecutor(_PEOPLE, "ledger-people")
        try:
            if path != MEMORY:
                _guard(Path(path))
            self._writer, readers = _connect_all(path, vault)
        except BaseException as error:
            self._release()
            if isinstance(error, DBAPIError):
                raise unusable(path, describe(error)) from None
            raise
        self._reader = readers[0] if readers else None
        self._people = readers[1:]
        self._all = (*readers, self._writer)

    async def write(self, work: Work[T], *, slow: bool = False) -> T:
        async with self._writing:
            try:
                await self._begin()
                if slow:
                    answer = await self._in_thread(self._writer_thread, work, self._writer, self._clock())
                else:
                    answer = work(self._writer, self._clock())
                await self._in_thread(self._writer_thread, self._writer.commit)
            except BaseException as error:
                self._roll_back()
                if is_away(error):
                    raise away(error) from None
                raise
        return answer

    async def read(self, work: Work[T], *, slow: bool = False) -> T:  # noqa: ARG002 - nobody waits for its reader
        if self._reader is None:
            return await self.write(work)
        return await self._in_thread(self._reader_thread, self._read, self._reader, work)

    async def compact(self) -> None:
        """Write the file anew without what was overwritten or deleted. Raises Unavailable, for one on a full disk."""
        async with self._writing:
            try:
                await self._in_thread(self._writer_thread, _compact, self._writer)
            except BaseException as error:
                if is_away(error):
                    raise away(error) from None
                raise

    async def browse(self, work: Work[T]) -> T:
        if self._reader is None:
            return await self.write(work)
        until = time.monotonic() + BROWSE_FOR
        return await self._in_thread(self._people_threads, self._look, work, until)

    async def aclose(self) -> None:
        async with self._writing:
            self._closed = True
            self._writer_thread.shutdown()
            self._reader_thread.shutdown()
            self._people_threads.shutdown()
            for conn in self._all:
                _disconnect(conn)
            self._release()

    async def _begin(self) -> None:
        """Begin, waiting for another process (a backup, a shell) that writes just now."""
        until = time.monotonic() + _BUSY_FOR
        while True:
            try:
                self._writer.begin()
            except DBAPIError as error:
                self._roll_back()
                if "locked" not in str(error.orig) or time.monotonic() > until:
                    raise
                await asyncio.sleep(0.02)
            else:
                return

    def _roll_back(self) -> None:
        with contextlib.suppress(DBAPIError):  # what led here is what the caller is told
            self._writer.rollback()

    def _read(self, conn: Connection, work: Work[T]) -> T:
        try:
            with conn.begin():
                return work(conn, self._clock())
        except Exception as error:
            if is_away(error):
                raise away(error) from None
            raise

    def _look(self, work: Work[T], until: float) -> T:
        """A read that ends at `until`, also when it had to wait for a thread; each thread finds a connection free."""
        if time.monotonic() > until:
            raise too_long()
        conn = self._people.pop()
        raw = driver(conn)
        raw.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        try:
            return self._read(conn, work)
        except Unavailable:
            if time.monotonic() > until:
                raise too_long() from None
            raise
        finally:
            raw.set_progress_handler(None, 0)
            self._people.append(conn)

    async def _in_thread(self, thread: ThreadPoolExecutor, call: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise Unavailable("the ledger is closed")
        return await asyncio.get_running_loop().run_in_executor(thread, call, *args)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _connect_all(path: str, vault: Vault) -> tuple[Connection, list[Connection]]:
    """The one that writes, and those that read, which a ledger in memory does not have."""
    writer = _connect(path, "BEGIN IMMEDIATE", wait=0.0, cache=_WRITER_CACHE, vault=vault)
    readers: list[Connection] = []
    try:
        while path != MEMORY and len(readers) < 1 + _PEOPLE:
            readers.append(_connect(path, "BEGIN", wait=_BUSY_FOR, cache=_READER_CACHE, vault=vault))
    except BaseException:
        for conn in (*readers, writer):
            _disconnect(conn)
        raise
    return writer, readers


def _disconnect(conn: Connection) -> None:
    conn.close()
    conn.engine.dispose()


def _check_library() -> None:
    """Raises Unusable when this Python's SQLite cannot run the ledger's statements: too old, or built without them."""
    if sqlite3.sqlite_version_info < _LEAST:
        wanted = ".".join(map(str, _LEAST))
        raise Unusable(
            f"the SQLite of this Python is {sqlite3.sqlite_version}, and the ledger needs {wanted} or newer: take a "
            "newer Python or image, or PostgreSQL (ledger.url)"
        )
    with contextlib.closing(sqlite3.connect(MEMORY)) as trial:
        try:
            trial.executescript(_TRIAL)
        except sqlite3.Error as error:
            raise Unusable(
                f"the SQLite of this Python ({sqlite3.sqlite_version}) was built without what the ledger needs "
                f"({error}): take another Python or image, or PostgreSQL (ledger.url)"
            ) from None


def _connect(path: str, begin: str, *, wait: float, cache: int, vault: Vault) -> Connection:
    _adapt()

    def open_file() -> sqlite3.Connection:
        raw = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            for pragma in (*_PRAGMAS, f"cache_size = -{cache}"):
                raw.execute(f"PRAGMA {pragma}")
        except BaseException:
            raw.close()  # nobody else has it yet
            raise
        return raw

    engine: Engine = create_engine(
        "sqlite+pysqlite://",
        creator=open_file,
        poolclass=StaticPool,
        hide_parameters=True,
        execution_options={"vault": vault},
    )
    event.listen(engine, "begin", lambda conn: send(conn, begin))
    try:
        return engine.connect()
    except BaseException:
        engine.dispose()  # the file may be open, and fail at SQLAlchemy's first question
        raise


def _compact(conn: Connection) -> None:
    """Outside of a transaction, where alone SQLite does it; the log of writes is cut, too."""
    raw = cast(sqlite3.Connection, conn.connection.dbapi_connection)
    for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        raw.execute(statement).fetchall()


def _adapt() -> None:
    """Tell the driver that None and bytes go in as they are: else it asks each value twice how it is to be stored."""
    sqlite3.register_adapter(type(None), lambda none: none)
    sqlite3.register_adapter(bytes, bytes)


def _lock(path: Path) -> int:
    """Hold `<file>.lock` for life, so that a second relay is refused. Raises Unusable."""
    if path.is_dir():
        raise Unusable(f"ledger {path} is a folder: name a file in it")
    try:
        held = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise Unusable(f"ledger {path}: {_folder_fault(path, error)}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = os.read(held, 32).decode("ascii", "replace").strip()
        os.close(held)
        raise Unusable(
            f"ledger {path} is in use by another relay (process {other or 'unknown'}): stop that one, or give this one "
            "another file"
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the lock holds, only the hint is missing
        os.ftruncate(held, 0)
        os.write(held, f"{os.getpid()}\n".encode())
    return held


def _guard(path: Path) -> None:
    """Make the file for its owner alone, as SQLite then makes those beside it. One that is there keeps its mode."""
    with contextlib.suppress(OSError):  # what is wrong with the file is told when it is opened
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
        readable = [file.name for file in _files(path) if file.stat().st_mode & stat.S_IROTH]
        if readable:
            what = f"every user of this machine can read them: chmod 600 {' '.join(readable)}"
            log.warning("ledger.readable", folder=str(path.absolute().parent), what=what)


def _files(path: Path) -> list[Path]:
    return [file for end in ("", "-wal", "-shm") if (file := Path(f"{path}{end}")).exists()]


def _folder_fault(path: Path, error: OSError) -> str:
    folder = path.absolute().parent
    if not folder.exists():
        return f"its folder {folder} does not exist: create it"
    return f"its folder {folder} cannot be written ({error.strerror}): give the relay's user write access to it"


def unusable(path: str, said: str) -> Unusable:
    """The driver's words with what to do about them."""
    if "not a database" in said or "malformed" in said:
        todo = "it is not a SQLite database: name another file, or move this one away"
    elif "readonly" in said or "unable to open" in said:
        todo = "it cannot be written: give the relay's user write access to the file and its folder"
    elif "full" in said or "disk I/O" in said:
        todo = "the disk is full or failing: free space there"
    elif "locked" in said:
        todo = "another program holds it locked: close that one"
    else:
        todo = "see whether the file and its disk are well"
    return Unusable(f"ledger {path}: {todo} ({said})")
