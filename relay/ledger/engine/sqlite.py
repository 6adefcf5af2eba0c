"""SQLite: one file, one relay, one writing connection.

The statements of a turn run on the event loop, its commit there or in the writer's thread (see `inline`). (Python's
sqlite3 releases the interpreter lock at each row. From a thread beside a busy event loop this measures 3,000 rows/s, on
the loop 50,000.) Slow work, such as pruning, runs in that thread as a whole.

Reads have connections and threads of their own: one for the service, whose reads are short, and two for people, whose
searches are long and end after `BROWSE_FOR` seconds.
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
from relay.ledger.engine.deadline import Deadline
from relay.ledger.engine.faults import BROWSE_FOR, Unopened, Unusable, away, describe, is_away, too_long
from relay.ledger.engine.files import OpenFiles
from relay.ledger.engine.inline import Inline
from relay.ledger.engine.sql import OF_HEX, driver, send
from relay.ledger.engine.vault import OPEN, Vault
from relay.place import exists, is_folder
from relay.telemetry import get_log

log = get_log()

T = TypeVar("T")
Clock = Callable[[], int]

MEMORY: Final = ":memory:"
_BUSY_FOR: Final = 5.0
"""Seconds to wait for another process that holds the file locked."""
_MODE: Final = 0o600
_PRAGMAS: Final = (
    "auto_vacuum = INCREMENTAL",  # the first: it has an effect only before a file has its header
    "journal_mode = WAL",
    "synchronous = FULL",
    "temp_store = MEMORY",
    "wal_autocheckpoint = 0",
    "schema_version",  # reads, which creates the write-ahead log
)
_LEAST: Final = (3, 35)
"""The first version with RETURNING."""
_TRIAL: Final = """
    CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT, c BLOB) WITHOUT ROWID;
    CREATE UNIQUE INDEX i ON t (b) WHERE b IS NOT NULL;
    INSERT INTO t (a, b) VALUES ('x', 1) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b < 1 RETURNING a;
    WITH d AS (SELECT a FROM t LIMIT 1) UPDATE t SET b = 2 WHERE a IN (SELECT a FROM d) RETURNING a, b;
    SELECT row_number() OVER (ORDER BY b), sum(b) OVER (ORDER BY b), instr(c, x'00'), (a, b) > ('', 0) FROM t;
"""
_CHECKPOINT: Final = 4_000
"""Pages of the write-ahead log that a commit in the thread writes back into the file."""
_WRITER_CACHE: Final = 16 << 10
"""KiB of page cache. Live rows are recent, and identities are too many for any cache: 64 MiB measured no faster."""
_READER_CACHE: Final = 8 << 10
_PEOPLE: Final = 2


def wall_clock() -> int:
    """Milliseconds since the epoch by this machine's clock."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A store on one file, or in memory. Raises Unusable when the file cannot be used as a ledger."""

    shares = True
    timeout: float | None = None

    def __init__(self, path: str, *, clock: Clock = wall_clock, vault: Vault = OPEN) -> None:
        self.path = path
        self._clock = clock
        self._closed = False
        _check_library()
        self._lock = None if path == MEMORY else _lock(Path(path))
        self._writing = asyncio.Lock()
        self._inline = Inline()
        self._writer_thread = ThreadPoolExecutor(1, "ledger-writer")
        self._reader_thread = ThreadPoolExecutor(1, "ledger-reader")
        self._people_threads = ThreadPoolExecutor(_PEOPLE, "ledger-people")
        try:
            if path != MEMORY:
                _guard(Path(path))
            self._writer, readers = _connect_all(path, vault)
            self._files = None if path == MEMORY else OpenFiles(path)
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
                if not slow and self._inline.next_fits():
                    began = time.perf_counter()
                    self._commit()
                    self._inline.took(time.perf_counter() - began)
                else:
                    await self._in_thread(self._writer_thread, self._commit_and_write_back)
            except BaseException as error:
                self._roll_back()
                if is_away(error):
                    raise away(error) from None
                raise
        return answer

    async def read(self, work: Work[T], *, slow: bool = False) -> T:  # noqa: ARG002 - the reader has a thread of its own
        if self._reader is None:
            return await self.write(work)
        return await self._in_thread(self._reader_thread, self._read, self._reader, work)

    async def compact(self) -> bool:
        """Rewrite the file without overwritten and deleted data. Raises Unavailable, for one when the disk is full.

        Nothing is written meanwhile. Returns False when a reader keeps old pages in the write-ahead log.
        """
        async with self._writing:
            try:
                return await self._in_thread(self._writer_thread, _compact, self._writer)
            except BaseException as error:
                if is_away(error):
                    raise away(error) from None
                raise

    async def browse(self, work: Work[T]) -> T:
        if self._reader is None:
            return await self.write(work)
        return await self._in_thread(self._people_threads, self._look, work, Deadline(BROWSE_FOR))

    async def aclose(self) -> None:
        async with self._writing:
            self._closed = True
            self._writer_thread.shutdown()
            self._reader_thread.shutdown()
            self._people_threads.shutdown()
            for conn in self._all:
                _disconnect(conn)
            self._release()

    def _commit(self) -> None:
        """Commit to the file at the path. Checked before, so that nothing is claimed in a file that is gone, and after,
        because only then has what is answered been in the file at the path when it was committed.
        """
        self._check_files()
        self._writer.commit()
        self._check_files()

    def _commit_and_write_back(self) -> None:
        """Commit, and write the log back into the file when it has become long."""
        raw = driver(self._writer)
        raw.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}").fetchall()
        try:
            self._commit()
        finally:
            raw.execute("PRAGMA wal_autocheckpoint = 0").fetchall()

    def _check_files(self) -> None:
        if self._files is not None:
            self._files.check()

    async def _begin(self) -> None:
        """Begin a transaction. Waits while another process (a backup, a shell) writes.

        The wait is here and not in SQLite's busy handler, which would block the event loop.
        """
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
        with contextlib.suppress(DBAPIError):  # the caller gets the error that led here
            self._writer.rollback()

    def _read(self, conn: Connection, work: Work[T]) -> T:
        self._check_files()  # that an event is known is an answer of 200, too
        try:
            with conn.begin():
                return work(conn, self._clock())
        except Exception as error:
            if is_away(error):
                raise away(error) from None
            raise

    def _look(self, work: Work[T], deadline: Deadline) -> T:
        """A read that ends at the deadline. There are as many connections as threads, so each thread finds one free."""
        conn = self._people.pop()
        try:
            return self._read(conn, deadline.bound(work))
        except Unavailable:
            if deadline.passed:
                raise too_long() from None
            raise
        finally:
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
    """The writing connection and the reading ones. A ledger in memory has no reading ones."""
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
    """Raises Unusable when this Python's SQLite is too old for the ledger's statements, or was built without them."""
    if sqlite3.sqlite_version_info < _LEAST:
        least = ".".join(map(str, _LEAST))
        raise Unusable(
            f"the SQLite of this Python is {sqlite3.sqlite_version}, and the ledger needs {least} or newer: take a "
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
            for pragma in (f"cache_size = -{cache}", *_PRAGMAS):
                raw.execute(f"PRAGMA {pragma}").fetchall()
            raw.create_function(OF_HEX, 1, bytes.fromhex, deterministic=True)
        except BaseException:
            raw.close()  # SQLAlchemy does not have the connection yet, so it would not close it
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
        engine.dispose()  # the file may be open already, and fail at SQLAlchemy's first statement
        raise


def _compact(conn: Connection) -> bool:
    """Rebuild the file and truncate the write-ahead log, for which readers must let go of it. Returns whether they did.

    Uses the driver's connection, because SQLite allows VACUUM only outside of a transaction.
    """
    raw = cast(sqlite3.Connection, conn.connection.dbapi_connection)
    raw.execute("VACUUM").fetchall()
    until = time.monotonic() + BROWSE_FOR
    while raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _adapt() -> None:
    """Register None and bytes to be stored unchanged. Otherwise the driver looks for an adapter twice per value."""
    sqlite3.register_adapter(type(None), lambda none: none)
    sqlite3.register_adapter(bytes, bytes)


def _lock(path: Path) -> int:
    """Lock `<file>.lock` until the store is closed, so that a second relay is refused. Returns its descriptor.

    Raises Unusable when another relay holds the lock, or when the folder cannot be written.
    """
    if is_folder(path):
        raise Unusable(f"ledger {path} is a folder: name a file in it")
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise Unusable(f"ledger {path}: {_folder_fault(path, error)}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        other = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise Unopened(
            f"ledger {path} is in use by another relay (process {other or 'unknown'}): stop that one, or give this one "
            "another file"
        ) from None
    # Only the holder of the lock writes its process id. On a full disk the lock holds and just this hint is missing.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _guard(path: Path) -> None:
    """Create the file with access for its owner only; SQLite gives the files beside it the same mode.

    An existing file keeps its mode; a warning is logged when every user can read it.
    """
    with contextlib.suppress(OSError):  # a fault of the file is reported when SQLite opens it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
        readable = [file.name for file in _files(path) if file.stat().st_mode & stat.S_IROTH]
        if readable:
            what = f"every user of this machine can read them: chmod 600 {' '.join(readable)}"
            log.warning("ledger.readable", folder=str(path.absolute().parent), what=what)


def _files(path: Path) -> list[Path]:
    return [file for end in ("", "-wal", "-shm") if exists(file := Path(f"{path}{end}"))]


def _folder_fault(path: Path, error: OSError) -> str:
    folder = path.absolute().parent
    if isinstance(error, FileNotFoundError):
        return f"its folder {folder} does not exist: create it"
    return f"its folder {folder} cannot be written ({error.strerror}): give the relay's user write access to it"


def unusable(path: str, message: str) -> Unusable:
    """The driver's message as Unusable, with what to do about it."""
    if "not a database" in message or "malformed" in message:
        todo = "it is not a SQLite database: name another file, or move this one away"
    elif "readonly" in message or "unable to open" in message:
        todo = "it cannot be written: give the relay's user write access to the file and its folder"
    elif "full" in message or "disk I/O" in message:
        todo = "the disk is full or failing: free space there"
    elif "locked" in message:
        todo = "another program holds it locked: close that one"
    else:
        todo = "see whether the file and its disk are well"
    return Unusable(f"ledger {path}: {todo} ({message})")
