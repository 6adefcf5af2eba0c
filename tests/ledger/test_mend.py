"""Refusals in the words of the servers and poolers that people have: what a person must mend, and what may pass."""

import asyncpg
import pytest
from asyncpg.exceptions import PostgresError

from relay.ledger.engine.mend import mend


def refusal(state, message):
    return PostgresError.new({"S": "FATAL", "C": state, "M": message})


@pytest.mark.parametrize(
    ("state", "message", "todo"),
    [
        ("28P01", 'password authentication failed for user "u"', "ledger.password"),
        ("28000", 'role "u" is not permitted to log in', "ledger.url"),
        ("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption', "ledger.url"),
        ("3D000", 'database "d" does not exist', "create the database"),
        ("42501", 'permission denied for database "d"', "GRANT CONNECT ON DATABASE"),
        ("42704", 'unrecognized configuration parameter "x"', "options"),
        ("22023", 'invalid value for parameter "work_mem": "much"', "options"),
        ("55000", 'database "d" is not currently accepting connections', "ALLOW_CONNECTIONS"),
        ("08P01", "no such database: d", "ledger.url"),
        ("08P01", "no such user", "ledger.url"),
        ("08P01", "SASL authentication failed", "ledger.password"),
        ("08P01", "server login failed: FATAL password authentication failed for user", "ledger.password"),
        ("08P01", "unsupported startup parameter: options", "leave `options` out"),
        ("XX000", "Tenant or user not found", "the provider prints its whole name"),
        ("XX000", "The endpoint has been disabled. Enable it using Neon API and retry.", "enable the endpoint"),
        ("XX000", "Endpoint ID is not specified. Either please upgrade the postgres client library", "endpoint%3D"),
        ("XX000", "Your project has exceeded the data transfer quota. Upgrade your plan", "raise the limit"),
        ("08P01", "SSL required", "sslmode=verify-full"),
    ],
)
def test_what_a_person_must_mend_says_what_to_do(state, message, todo):
    said = mend(refusal(state, message))
    assert said is not None
    assert message in said
    assert todo in said.removeprefix(message)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("53300", "sorry, too many clients already"),
        ("53300", 'too many connections for role "u"'),
        ("57P03", "the database system is starting up"),
        ("57P01", "terminating connection due to administrator command"),
        ("08P01", "no more connections allowed (max_client_conn)"),
        ("08P01", "query_wait_timeout"),
        ("08P01", "server login has been failing, try again later (server_login_retry)"),
        ("08P01", "pgbouncer cannot connect to server"),
        ("XX000", "Max client connections reached"),
        ("58000", "could not open file"),
    ],
)
def test_what_may_pass_is_waited_for(state, message):
    assert mend(refusal(state, message)) is None


def test_what_the_driver_cannot_do_is_told():
    error = asyncpg.InterfaceError("unsupported authentication method requested by the server: 7")
    assert "ledger.password" in mend(error)
    assert mend(ConnectionRefusedError(111, "Connection refused")) is None
    assert mend(TimeoutError()) is None
