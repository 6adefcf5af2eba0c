"""TLS to PostgreSQL: who is believed, and what is said when somebody is not."""

import contextlib
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import Terms, Unusable, open_ledger
from relay.ledger.engine.postgres import PostgresStore, connect
from tests.conftest import lend
from tests.services.authority import Authority
from tests.services.postgres import run_cluster

TERMS = Terms(owner="one")
IS_ENCRYPTED = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture(scope="module")
def server(authority):
    """A PostgreSQL whose certificate is for `localhost`, and for no address."""
    yield from lend(run_cluster(authority.issue("localhost")))


def at(server, host, query=""):
    parts = urlsplit(server.url)
    return urlunsplit(parts._replace(netloc=f"postgres@{host}:{parts.port}", query=query))


async def is_encrypted(ledger):
    try:
        return await ledger.read(lambda conn, _: conn.execute(IS_ENCRYPTED).scalar_one())
    finally:
        await ledger.aclose()


async def test_a_server_that_proves_its_name_by_our_authority_is_used(server, ca_file):
    ledger = await open_ledger(at(server, "localhost"), TERMS, ca_file=ca_file, migrate=True)
    assert await is_encrypted(ledger)


async def test_a_certificate_of_another_authority_is_refused_with_the_setting(server, other_ca_file):
    told = r"certificate is not trusted \(.+\): check ledger\.ca_file$"
    with pytest.raises(Unusable, match=told):
        await open_ledger(at(server, "localhost"), TERMS, ca_file=other_ca_file, migrate=True)


async def test_a_certificate_for_another_host_is_refused_with_the_setting(server, ca_file):
    told = r"certificate is for another host \(IP address mismatch.+127\.0\.0\.1.+\): check ledger\.url$"
    with pytest.raises(Unusable, match=told):
        await open_ledger(at(server, "127.0.0.1"), TERMS, ca_file=ca_file, migrate=True)


async def test_a_certificate_that_is_refused_later_on_is_told_in_the_same_words(server, other_ca_file):
    store = PostgresStore(connect(at(server, "localhost"), password=None, ca_file=other_ca_file))
    with pytest.raises(Unavailable, match=r"certificate is not trusted \(.+\): check ledger\.ca_file$"):
        await store.read(lambda conn, _: conn.execute(IS_ENCRYPTED).scalar_one())
    await store.aclose()


async def test_a_server_without_tls_is_not_used_with_a_ca_file(postgres_url, ca_file):
    with pytest.raises(Unusable, match=r"takes no TLS.*ledger\.ca_file"):
        await open_ledger(postgres_url, TERMS, ca_file=ca_file, migrate=True)


@pytest.mark.parametrize(("mode", "encrypted"), [("require", True), ("disable", False)])
async def test_without_a_ca_file_the_url_says_how(server, mode, encrypted):
    ledger = await open_ledger(at(server, "127.0.0.1", f"sslmode={mode}"), TERMS, migrate=True)
    assert await is_encrypted(ledger) is encrypted


@pytest.fixture(scope="module")
def strict(server, authority):
    """The URL of a role of that server which logs in by a certificate of ours, and no other way."""
    trusted = server.folder / "clients.pem"
    trusted.write_bytes(authority.pem)
    trusted.chmod(0o644)
    rules = server.folder / "data" / "pg_hba.conf"
    mine = "hostssl all certified all cert\nhost all certified all reject\n"
    rules.write_text(mine + rules.read_text())
    for statement in (
        "CREATE ROLE certified LOGIN SUPERUSER",
        f"ALTER SYSTEM SET ssl_ca_file = '{trusted}'",
        "SELECT pg_reload_conf()",
    ):
        server.run(statement)
    return at(server, "localhost").replace("postgres@", "certified@")


@pytest.fixture
def issue(tmp_path):
    """A certificate for `certified`, and its key, as files of this authority's."""

    def issue(authority):
        files = tmp_path / "cert.pem", tmp_path / "key.pem"
        authority.issue("certified").write(*files)
        return [str(file) for file in files]

    return issue


async def test_a_client_certificate_is_shown_as_the_keys_or_the_url_say(strict, authority, ca_file, issue):
    cert, key = issue(authority)
    keys = {"ca_file": ca_file, "cert_file": cert, "key_file": key}
    assert await is_encrypted(await open_ledger(strict, TERMS, migrate=True, **keys))
    query = f"?sslmode=verify-full&sslrootcert={ca_file}&sslcert={cert}&sslkey={key}"
    assert await is_encrypted(await open_ledger(strict + query, TERMS))


async def test_without_the_certificate_that_the_server_wants_it_is_told(strict, ca_file):
    with pytest.raises(Unusable, match=r"valid client certificate .*correct ledger\.url or ledger\.password"):
        await open_ledger(strict, TERMS, ca_file=ca_file)


async def test_a_certificate_that_the_server_does_not_trust_is_told(strict, ca_file, issue):
    cert, key = issue(Authority("Others"))
    refused = r"refuses our certificate \(.*unknown ca\): check ledger\.cert_file"
    with pytest.raises(Unusable, match=refused):
        await open_when_answered(strict, ca_file=ca_file, cert_file=cert, key_file=key)


async def open_when_answered(url, **access):
    """In TLS 1.3 a client is refused after its handshake, and what says so may be lost with the connection: that looks
    like a server that is away, and is tried again, as at every start."""
    while True:
        with contextlib.suppress(Unavailable):
            return await open_ledger(url, TERMS, **access)


@pytest.mark.parametrize(
    ("query", "works"),
    [
        ("sslmode=REQUIRE&sslrootcert={ca}", True),
        ("sslmode=verify-ca&sslrootcert={ca}", True),
        ("sslmode=verify-full&sslrootcert={ca}", False),
        ("sslmode=require&sslrootcert={other}", False),
        ("sslmode=require&ssl_min_protocol_version=TLSv1.3&channel_binding=prefer", True),
        ("sslrootcert=system", False),
    ],
)
async def test_the_modes_mean_what_they_mean_to_libpq(server, ca_file, other_ca_file, query, works):
    """By an address that the certificate is not for."""
    url = at(server, "127.0.0.1", query.format(ca=ca_file, other=other_ca_file))
    if works:
        assert await is_encrypted(await open_ledger(url, TERMS, migrate=True))
        return
    with pytest.raises(Unusable, match="its certificate is"):
        await open_ledger(url, TERMS, migrate=True)
