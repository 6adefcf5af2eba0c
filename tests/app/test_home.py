"""Where a demo keeps its ledger."""

from pathlib import Path

import pytest

from relay.app import home
from relay.errors import Blocked


def test_the_folder_is_where_one_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "_PLACES", (str(tmp_path / "missing"), str(tmp_path)))
    with home.make_folder() as folder:
        assert Path(folder).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "_PLACES", (str(tmp_path / "missing"),))
    with pytest.raises(Blocked, match="docker run --tmpfs /tmp"):
        home.make_folder()
