"""An embedded ledger, and refused requests to put into it."""

import pytest

from relay.ledger import Terms, open_ledger
from relay.model import Kept, Rejection, new_id

NOW = 1_800_000_000_000
FAR = 9_000_000_000_000


@pytest.fixture
async def ledger(tmp_path):
    made = await open_ledger(f"sqlite:///{tmp_path}/relay.db", Terms(owner="one"))
    yield made
    await made.aclose()


@pytest.fixture
def refuse(ledger):
    """Keeps a refused request whole and gives its id."""

    async def keep(body=b"{}", *, source="helpdesk", at=NOW, headers=None, url="https://relay.example/hooks/helpdesk"):
        whole = Kept("POST", url, headers or {}, body, FAR)
        one = Rejection(
            new_id(), at, source, 401, "signature_wrong", "rotated?", "::1", {}, len(body), "00", kept=whole
        )
        await ledger.reject(one)
        return one.id

    return keep
