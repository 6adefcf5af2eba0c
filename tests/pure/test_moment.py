"""Times as senders write them."""

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
        ("1768542982", "2026-01-16T05:56:22.000Z"),
        ("1768542982.25", "2026-01-16T05:56:22.250Z"),
        ("1768542982250", "2026-01-16T05:56:22.250Z"),
    ],
)
def test_a_time_is_read_in_every_form_that_senders_use(text, read):
    assert iso(moment.read(text)) == read


@pytest.mark.parametrize(
    "text", ["", "soon", "May", "UTC", "2026-13-01", "12/2030", "Fri Jan", "-5", "2026-01-16 05:56 XYZ"]
)
def test_what_is_no_time_is_told(text):
    with pytest.raises(ValueError, match=r"(?i)\w"):
        moment.read(text)
