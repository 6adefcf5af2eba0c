"""Whether the files of a configuration changed, told without reading one of them."""

import os
from pathlib import Path

import pytest

from relay.config import load

TEXT = "cargo: {token: t}\nrules: [{name: a, chat: {trigger: {type: draft}}}]\n"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "etc"
    made.mkdir()
    (made / "a.yaml").write_text(TEXT)
    return made


def files_of(*paths):
    return load(paths, {}).origin


def edit(folder):
    (folder / "a.yaml").write_text(TEXT + "\n")


def edit_under_its_former_size_and_time(folder):
    file = folder / "a.yaml"
    before = file.stat()
    file.write_text(TEXT.replace("name: a", "name: b"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(folder):
    (folder / "draft").write_text(TEXT)
    (folder / "draft").replace(folder / "a.yaml")


def link_elsewhere(folder):
    (folder / "b").write_text(TEXT)
    (folder / "a.yaml").unlink()
    (folder / "a.yaml").symlink_to(folder / "b")


def add(folder):
    (folder / "b.yaml").write_text("")


def delete(folder):
    (folder / "a.yaml").unlink()


def take_away(folder):
    folder.rename(folder.with_name("away"))


CHANGES = [edit, edit_under_its_former_size_and_time, rename_over, link_elsewhere, add, delete, take_away]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(folder, change):
    files = files_of(folder)
    assert files.state() == files.known
    change(folder)
    assert files.state() != files.known


def test_what_is_no_file_of_the_configuration_changes_nothing(folder):
    files = files_of(folder)
    (folder / "notes.txt").write_text("x")
    (folder / ".a.yaml.swp").write_text("x")
    assert files.state() == files.known


def test_a_file_that_the_configuration_names_belongs_to_it(folder, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("t")
    (folder / "a.yaml").write_text(TEXT.replace("token: t", f'token: "${{file:{secret}}}"'))
    files = files_of(folder)
    secret.write_text("u")
    assert files.state() != files.known


def test_nothing_is_read(folder, monkeypatch):
    files = files_of(folder)

    def read(*_args, **_keys):
        raise AssertionError("a file is read")

    monkeypatch.setattr(Path, "open", read)
    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(Path, "read_text", read)
    assert files.state() == files.known
