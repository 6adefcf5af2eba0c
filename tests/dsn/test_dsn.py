"""Connection strings as providers print them: what each parameter means, and what is said of what cannot be had."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dsn import DsnFault, Host, Keepalive, parse
from relay.secret import Secret

BARE = "postgresql://u@h/d"
SECRET = "p4ss-hush"


def tls_of(url, **keys):
    return parse(url).extend(**keys).tls


@pytest.mark.parametrize(
    ("url", "hosts", "user", "database"),
    [
        ("postgresql://u@h:6432/d", ["h:6432"], "u", "d"),
        ("postgres://u:p%40ss@h/d", ["h:5432"], "u", "d"),
        ("postgresql://a,b:5433/d", ["a:5432", "b:5433"], None, "d"),
        ("postgresql://u@/d?host=a,b&port=1,2", ["a:1", "b:2"], "u", "d"),
        ("postgresql://u@/d?host=a,b&port=1", ["a:1", "b:1"], "u", "d"),
        ("postgresql:///d?host=/run/postgresql&user=u", ["/run/postgresql/.s.PGSQL.5432"], "u", "d"),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/d", ["/var/run/postgresql/.s.PGSQL.5432"], None, "d"),
        ("postgresql://u@/d?host=/cloudsql/project:region:db", ["/cloudsql/project:region:db/.s.PGSQL.5432"], "u", "d"),
        ("postgresql://u@[2001:db8::1]:5433,[::1]/d", ["[2001:db8::1]:5433", "[::1]:5432"], "u", "d"),
        ("postgresql://us%2Fer@h/d%20b", ["h:5432"], "us/er", "d b"),
        ("postgresql://h/?dbname=d", ["h:5432"], None, "d"),
    ],
)
def test_where_it_is(url, hosts, user, database):
    dsn = parse(url).extend()
    assert ([str(host) for host in dsn.hosts], dsn.user, dsn.database) == (hosts, user, database)


@pytest.mark.parametrize(
    "printed",
    [
        "postgresql://u:p@ep-cool-1.eu-central-1.aws.neon.tech/neondb?sslmode=require",
        "postgresql://u:p@ep-1.neon.tech/neondb?sslmode=verify-full&channel_binding=require",
        "postgresql://u:p@pg-proxy/d?sslmode=require&options=endpoint%3Dep-cool-1",
        "postgresql://postgres.abc:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres",
        "postgres://doadmin:p@db-1.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
        "postgres://avnadmin:p@pg-1.aivencloud.com:12691/defaultdb?sslmode=REQUIRE",
        "postgres://u:p@host.render.com/d?ssl=true",
        "postgresql://u:p@h/d?connect_timeout=10&application_name=relay-eu&keepalives=1&keepalives_idle=30",
        "postgresql://u:p@h/d?keepalives_interval=10&keepalives_count=3&tcp_user_timeout=10000&gssencmode=disable&client_encoding=utf8",
        "postgresql://u:p@h/d?sslcompression=0&sslsni=1&sslcertmode=allow&load_balance_hosts=random&target_session_attrs=primary",
        "postgresql://u@h/d?sslmode=verify-full&sslrootcert=system&sslnegotiation=direct",
        "postgresql://u@h/d?sslmode=verify-ca&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&sslcrl=/crl.pem",
    ],
)
def test_what_providers_print_is_taken(printed):
    parse(printed).extend()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("channel_binding=require", "which Relay does not support: write sslmode=verify-full"),
        (
            "sslmode=requir",
            "unknown value for sslmode: write disable, allow, prefer, require, verify-ca or verify-",
        ),
        (
            "sslrootcert=system&sslmode=require",
            "sslrootcert=system, which needs sslmode=verify-full, not require",
        ),
        ("sslnegotiation=direct", "sslnegotiation=direct, which requires TLS"),
        ("sslcert=/c.pem", "sslcert without sslkey: set both"),
        ("sslkey=/k.pem", "sslkey without sslcert: set both"),
        ("sslpassword=hush", "a key's password in its query: decrypt the key"),
        ("ssl_min_protocol_version=TLSv1", "write TLSv1.2 or TLSv1.3"),
        ("pgbouncer=true", "leave it out: Relay detects a pooler"),
        ("schema=x", "write ledger.schema instead"),
        ("currentSchema=x", "write ledger.schema instead"),
        ("connection_limit=1", "leave it out: Relay opens at most eight connections"),
        (
            "target_session_attrs=standby",
            "target_session_attrs=standby, and Relay writes: write target_session_attrs=re",
        ),
        ("target_session_attrs=best", "has an unknown value for target_session_attrs"),
        ("connect_timeout=0", "connect_timeout=0, which never times out"),
        ("connect_timeout=soon", "connect_timeout that is not a whole number"),
        ("keepalives=yes", "write keepalives=1 or keepalives=0"),
        ("hostaddr=10.0.0.1", "write the address as the host"),
        ("service=prod", "no service file is read"),
        ("krbsrvname=x", "does not support Kerberos"),
        ("gssencmode=require", "write gssencmode=disable"),
        ("client_encoding=LATIN1", "Relay speaks UTF-8"),
        ("require_auth=scram-sha-256", "pg_hba.conf"),
        ("sslmod=require", "did you mean `sslmode`?"),
        ("aplication_name=x", "did you mean `application_name`?"),
        ("nonsense=1", "has `nonsense` in its query, which is not a parameter of a PostgreSQL connection"),
        ("statement_timeout=5", "leave it out: Relay sets it itself"),
        ("sslmode=require&sslmode=disable", "gives `sslmode` twice"),
        ("sslmode", "not name=value"),
        ("options=-c%20work_mem", "-c that is not name=value"),
        ("options=-c", "end in -c"),
        ("options=-S%205", "other than -c name=value"),
        ("host=a", "names hosts before the database and in its query"),
        ("password=hush", "has a password in its query: write it as `password:`"),
        ("application_name=%zz", "a % that does not start a code"),
        ("application_name=%00", "contains %00"),
        ("application_name=%ff", "not UTF-8"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name_with_what_to_write(query, said):
    with pytest.raises(DsnFault) as refused:
        parse(f"{BARE}?{query}").extend()
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("jdbc:postgresql://h/d", "is a URL for Java (jdbc:): write postgresql://user@host:5432/relay"),
        ("postgresql+asyncpg://h/d", "names a library (postgresql+asyncpg): leave it out"),
        ("postgresql+psycopg://h/d", "names a library (postgresql+psycopg)"),
        ("mysql://h/d", "is not a URL with postgresql://"),
        ("postgresql://h", "does not name a database"),
        ("postgresql:///d", "does not name a host: write postgresql://user@host:5432/relay, or ?host=/run/postgresql"),
        ("postgresql://a,,b/d", "an empty host"),
        ("postgresql:///d?host=a,b&port=1,2,3", "2 hosts and 3 ports"),
        ("postgresql://h:99999/d", "port that is not a whole number from 1 to 65535"),
        ("postgresql://h:x/d", "an invalid host or port"),
        ("postgresql://[::z]/d", "an invalid host or port"),
        (f"postgresql://u:{SECRET}/x@h/d", "%-encode / # ? and @ in a password"),
        (f"postgresql://u:{SECRET}?x@h/d", "%-encode / # ? and @ in a password"),
        (f"postgresql://u:{SECRET}#x@h/d", "%-encode / # ? and @ in a password"),
        ("postgresql://u@h/d b", "a blank or a control character"),
        ("postgresql:///d?host=@abstract", "an abstract socket"),
        ("postgresql:///d?host=run/postgresql", "does not begin with /"),
    ],
)
def test_what_is_no_url_of_postgresql_says_what_to_write(url, said):
    with pytest.raises(DsnFault) as refused:
        parse(url)
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "keys", "mode"),
    [
        ("", {}, "prefer"),
        ("", {"ca_file": "a.pem"}, "verify-full"),
        ("?sslmode=require", {"ca_file": "a.pem"}, "verify-full"),
        ("?sslmode=verify-ca", {"ca_file": "a.pem"}, "verify-ca"),
        ("?sslmode=require&sslrootcert=a.pem", {}, "verify-ca"),
        ("?sslrootcert=a.pem", {}, "verify-ca"),
        ("?sslrootcert=system", {}, "verify-full"),
        ("", {"cert_file": "c.pem", "key_file": "k.pem"}, "require"),
        ("?sslmode=verify-full&sslcert=c.pem&sslkey=k.pem", {}, "verify-full"),
        ("?ssl=true", {}, "require"),
        ("?ssl=false", {}, "prefer"),
        ("?sslmode=VERIFY_FULL", {}, "verify-full"),
    ],
)
def test_who_names_authorities_or_a_certificate_gets_tls_and_never_less_than_libpq_gives(query, keys, mode):
    assert tls_of(BARE + query, **keys).mode == mode


@pytest.mark.parametrize(
    ("query", "keys", "key"),
    [
        ("?sslmode=disable", {"ca_file": "a.pem"}, "ca_file"),
        ("?sslrootcert=b.pem", {"ca_file": "a.pem"}, "ca_file"),
        ("?sslcert=b.pem&sslkey=b.pem", {"cert_file": "a.pem"}, "cert_file"),
        ("", {"cert_file": "a.pem"}, "cert_file"),
        ("", {"key_file": "a.pem"}, "key_file"),
        ("?sslmode=disable", {"cert_file": "a.pem", "key_file": "a.pem"}, "url"),
        ("", {"schema": "pg_mine"}, "schema"),
        ("", {"schema": "x" * 64}, "schema"),
        ("", {"schema": 'a"b'}, "schema"),
    ],
)
def test_keys_that_contradict_the_url_are_told_at_their_key(query, keys, key):
    with pytest.raises(DsnFault) as refused:
        tls_of(BARE + query, **keys)
    assert refused.value.key == key


def test_settings_of_the_server_come_from_options_and_schema_but_never_over_ours():
    options = quote(r"-c work_mem=5MB --search-path=a -clock_timeout=1 endpoint=ep-1 -c application_name=a\ b")
    dsn = parse(f"{BARE}?options={options}")
    assert (dict(dsn.settings), dsn.options) == ({"work_mem": "5MB", "search_path": "a"}, "endpoint=ep-1")
    assert [note.split()[1] for note in dsn.notes] == ["lock_timeout", "application_name"]
    assert dsn.extend(schema="Own").settings["search_path"] == '"Own"'


def test_the_rest_of_libpqs_parameters():
    dsn = parse(
        f"{BARE}?connect_timeout=7&fallback_application_name=b&keepalives_idle=30&tcp_user_timeout=9&passfile=/p"
        "&load_balance_hosts=random&keepalives=0"
    )
    assert (dsn.timeout, dsn.name, dsn.passfile, dsn.shuffle) == (7.0, "b", "/p", True)
    assert dsn.keepalive == Keepalive(on=False, idle=30, patience=9)
    assert not dsn.writable
    assert parse("postgresql://a,b/d?target_session_attrs=any").writable, "of several hosts one that takes writes"


def test_it_shows_no_password():
    dsn = parse(f"postgresql://u:{SECRET}@h/d").extend()
    assert dsn.password == Secret(SECRET)
    assert SECRET not in f"{dsn} {dsn!r}"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
HOSTS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9.-]{0,10}", fullmatch=True),
    st.ip_addresses(v=6).map(str),
    st.from_regex(r"/[a-z]{1,8}(/[a-z:]{1,8})?", fullmatch=True),
)


def written(host):
    name = f"[{host.name}]" if ":" in host.name and not host.local else quote(host.name, safe="")
    return f"{name}:{host.port}"


@given(
    user=NAMES,
    password=NAMES,
    database=NAMES,
    hosts=st.lists(st.builds(Host, HOSTS, st.integers(1, 65_535)), min_size=1, max_size=4),
    name=NAMES,
)
def test_what_is_encoded_comes_back_as_it_was(user, password, database, hosts, name):
    where = ",".join(written(host) for host in hosts)
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    dsn = parse(
        f"postgresql://{credentials}@{where}/{quote(database, safe='')}?application_name={quote(name, safe='')}"
    )
    assert (dsn.user, dsn.password, dsn.database, dsn.name) == (user, Secret(password), database, name)
    assert dsn.hosts == tuple(hosts)


@given(st.one_of(st.text(max_size=60), st.text("ab:@/?#[],%=&+25", max_size=60)))
def test_whatever_is_written_there_is_taken_or_refused_and_never_quoted(rest):
    url = f"postgresql://u:{SECRET}{rest}"
    try:
        dsn = parse(url).extend()
    except DsnFault as fault:
        said = str(fault)
    else:
        said = dsn.tls.mode
        assert dsn.hosts
    assert SECRET not in said
