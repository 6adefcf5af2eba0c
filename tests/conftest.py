"""Fixtures that every test may ask for: real servers, started when the first test wants them.

| fixture | scope | is |
| --- | --- | --- |
| `amqp_url` | test | the URL of a fresh virtual host of a RabbitMQ that the run shares |
| `postgres_url` | test | the URL of a fresh, empty database of a PostgreSQL that the run shares |
| `npm_folder` | session | the folder with the installed npm packages |
| `authority` | module | signs certificates for servers; `ca_file` is its own in a file, `other_ca_file` another's |
| `private_rabbitmq`, `private_postgres` | test | a server of the test's own: `.url`, `.kill()`, `.stop()`, `.start()` |
"""

import gc
import os
import tempfile

import pytest
from hypothesis import settings

from tests.memory import find_ample
from tests.services.authority import Authority
from tests.services.npm import install
from tests.services.postgres import run_cluster, run_postgres
from tests.services.process import Unavailable
from tests.services.rabbitmq import run_node, run_rabbitmq

# Where a change waits for it, the same examples each time; everywhere else new ones. How long one takes is no test.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Before anything makes a file, and for all that is started from here.
if "TMPDIR" not in os.environ and (folder := find_ample()) is not None:
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def pytest_collection_finish():
    """The tests stay: each collection of garbage would look through thirteen thousand of them, for half a second."""
    gc.collect()
    gc.freeze()


def lend(server):
    """What the context manager `server` gives; where it cannot be had, the test fails with what to do about it."""
    try:
        with server as resource:
            yield resource
    except Unavailable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def rabbitmq_server():
    """The run's RabbitMQ: `.vhost()` gives URLs, `.call()` speaks to its management API."""
    yield from lend(run_rabbitmq())


@pytest.fixture
def amqp_url(rabbitmq_server):
    """`amqp://...` of a virtual host in which this test is alone."""
    yield from lend(rabbitmq_server.vhost())


@pytest.fixture
def private_rabbitmq():
    """A node of this test's own: `.url`, `.kill()`, `.stop()`, `.start()`, `.freeze()`, `.thaw()`, `.ctl(*args)`."""
    yield from lend(run_node())


@pytest.fixture(scope="session")
def postgres_server():
    """The run's PostgreSQL: `.database()` gives URLs, `.run()` executes a statement."""
    yield from lend(run_postgres())


@pytest.fixture
def postgres_url(postgres_server):
    """`postgresql://...` of a database in which this test is alone."""
    yield from lend(postgres_server.database())


@pytest.fixture
def private_postgres():
    """A server of this test's own: `.url`, `.kill()`, `.stop()`, `.start()`, `.freeze()`, `.thaw()`."""
    yield from lend(run_cluster())


@pytest.fixture(scope="session")
def npm_folder():
    """Where the npm packages of tests/sdk/package.json are installed."""
    try:
        return install()
    except Unavailable as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def authority():
    return Authority("Ours")


@pytest.fixture
def ca_file(authority, tmp_path):
    return authority.write(tmp_path / "ours.pem")


@pytest.fixture
def other_ca_file(tmp_path):
    return Authority("Others").write(tmp_path / "others.pem")
