"""Times as senders write them."""

import re

import pytest

from relay import moment
from relay.units import iso


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-16 05:56:22 UTC", "2026-01-16T05:56:22.000Z"),  # GitLab
        ("2026-01-16 05:56:22", "2026-01-16T05:56:22.000Z"),  # Mailchimp
        ("2026-01-16 05:56:22 +0100", "2026-01-16T04:56:22.000Z"),
        ("2026-01-16T05:56:22.1234567Z", "2026-01-16T05:56:22.123Z"),  # Microsoft
        ("2026-01-16T05:56:22.123+0000", "2026-01-16T05:56:22.123Z"),  # Jira, Salesforce
        ("20260116T055622Z", "2026-01-16T05:56:22.000Z"),
        ("Fri, 16 Jan 2026 05:56:22 GMT", "2026-01-16T05:56:22.000Z"),
        ("16 Jan 2026 05:56:22 +0100", "2026-01-16T04:56:22.000Z"),
        ("Fri Jan 16 05:56:22 +0000 2026", "2026-01-16T05:56:22.000Z"),  # Twitter
        ("2026-01-16t05:56:22z", "2026-01-16T05:56:22.000Z"),  # RFC 3339 allows lower case
        ("2026-01-16 05:56:22+00:00", "2026-01-16T05:56:22.000Z"),  # and a blank
        ("2026-01-16T05:56:22.123456789Z", "2026-01-16T05:56:22.123Z"),  # Go, Java
        ("2026-01-16T06:56:22.123456789+01:00", "2026-01-16T05:56:22.123Z"),
        ("2026-01-16T05:56:22-00:00", "2026-01-16T05:56:22.000Z"),
        ("2026-01-16T11:26:22+05:30", "2026-01-16T05:56:22.000Z"),
        ("2026-01-16T05:56Z", "2026-01-16T05:56:00.000Z"),  # Java, of a whole minute
        ("2026-01-16T05:56:22Z[UTC]", "2026-01-16T05:56:22.000Z"),
        ("2026-01-16T06:56:22.5+01:00[Europe/Paris]", "2026-01-16T05:56:22.500Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
        ("2017-01-01T00:59:60.25+01:00", "2016-12-31T23:59:59.250Z"),
        ("1768542982", "2026-01-16T05:56:22.000Z"),
        ("1768542982.25", "2026-01-16T05:56:22.250Z"),
        ("1768542982250", "2026-01-16T05:56:22.250Z"),
        ("1768542982.57", "2026-01-16T05:56:22.570Z"),
        ("1768542982250999", "2026-01-16T05:56:22.250Z"),  # Debezium, Pipedrive's timestamp_micro
        ("1768542982250999999", "2026-01-16T05:56:22.250Z"),  # Go, InfluxDB
        ("2026-01-16 06:56:22.123456 +0100 CET", "2026-01-16T05:56:22.123Z"),  # Go
        ("Fri Jan 16 2026 06:56:22 GMT+0100 (Central European Standard Time)", "2026-01-16T05:56:22.000Z"),  # browsers
        ("Fri, 16 Jan 2026 06:56:22 +01:00", "2026-01-16T05:56:22.000Z"),
        ("Fri Jan 16 00:56:22 EST 2026", "2026-01-16T05:56:22.000Z"),  # Java
        ("Jan 16, 2026, 5:56:22 PM", "2026-01-16T17:56:22.000Z"),
        ("Jan 16, 2026 12:56 AM", "2026-01-16T00:56:00.000Z"),
    ],
)
def test_a_time_is_read_in_every_form_that_senders_use(text, read):
    assert iso(moment.read(text)) == read


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither a number"),
        ("soon", "neither a number"),
        ("May", "neither a number"),
        ("UTC", "neither a number"),
        ("12/2030", "neither a number"),
        ("Fri Jan", "neither a number"),
        ("-5", "neither a number"),
        ("2026-13-01", "month must be in 1..12"),
        ("2026-01-16T05:60:22Z", "minute must be in 0..59"),
        ("2026-01-16T05:60Z", "minute must be in 0..59"),
        ("2026-01-16T05:56:61Z", "second must be in 0..59"),
        ("2026-01-16T05:56:22+99:00", "offset"),
        ("2026-01-16 05:56 XYZ", "Invalid isoformat string"),
        ("1969-12-31T23:59:59Z", "out of range"),
        ("9999-12-31T23:59:59-01:00", "out of range"),
        ("Fri, 99 Jan 2026 05:56:22 GMT", "day"),
        ("Fri Jan 16 05:56:22 CET 2026", "its zone CET is not known"),
    ],
)
def test_what_is_no_time_says_why(text, why):
    with pytest.raises(ValueError, match=rf"^not a time: .*{re.escape(why)}"):
        moment.read(text)


def test_a_number_keeps_its_parts_of_a_second():
    assert moment.find(1768542982.57) == 1_768_542_982_570
    assert moment.find(1768542982570.0) == moment.find(1768542982570) == 1_768_542_982_570
    assert [moment.find(value) for value in (float("nan"), float("inf"), 1e300, -1.5, True)] == [None] * 5
