"""``greenray keys``: keystores are made, imported and opened, and keys stay unseen."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from greenray.chain.keystore import PASSWORD_VARIABLE
from greenray.cli.app import app

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


@pytest.fixture(autouse=True)
def fast_key_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt costs a second per file; a PBKDF2 keystore is opened by the same code."""
    monkeypatch.setenv("ETH_ACCOUNT_KDF", "pbkdf2")


def keys(*arguments: object, stdin: str = "", password: str | None = "right") -> Result:
    return CliRunner().invoke(
        app,
        ["keys", *map(str, arguments)],
        input=stdin,
        env={PASSWORD_VARIABLE: password},
    )


def test_a_new_key_is_shown_by_its_address_only(tmp_path: Path) -> None:
    path = tmp_path / "sp-0-operator.json"
    made = keys("new", path, "--json")
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert document["keystore"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = keys("show", path, "--json")
    assert json.loads(shown.stdout) == document


def test_an_imported_key_has_its_own_address_and_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    imported = keys("import", path, "--from", "-", stdin=f"0x{KEY}\n")
    assert imported.exit_code == 0, imported.output
    assert imported.stdout == f"{ADDRESS}  {path}\n"
    assert KEY not in imported.output
    assert KEY not in path.read_text()
    assert ADDRESS in keys("show", path).stdout


def test_a_key_is_imported_from_a_file(tmp_path: Path) -> None:
    source = tmp_path / "key.hex"
    source.write_text(f"{KEY}\n")
    assert ADDRESS in keys("import", tmp_path / "key.json", "--from", source).stdout


def test_a_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    path, password_file = tmp_path / "key.json", tmp_path / "password"
    password_file.write_text("from a file\n")
    made = keys("new", path, "--password-file", password_file, password=None)
    assert made.exit_code == 0, made.output
    assert keys("show", path, password="from a file").exit_code == 0
    assert "wrong password" in keys("show", path, password="other").stderr


def test_an_existing_keystore_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    keys("new", path)
    before = path.read_bytes()
    again = keys("import", path, "--from", "-", stdin=KEY)
    assert again.exit_code == 1
    assert "the file exists already" in again.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "12", "g" * 64, "0" * 64, "f" * 64, KEY + "00"])
def test_what_is_no_key_is_refused_without_being_repeated(text: str, tmp_path: Path) -> None:
    result = keys("import", tmp_path / "key.json", "--from", "-", stdin=text)
    assert result.exit_code == 1
    assert "stdin: " in result.stderr
    assert len(text) < 3 or text not in result.output
    assert os.listdir(tmp_path) == []


def test_without_a_password_nothing_is_written(tmp_path: Path) -> None:
    for password, words in ((None, "no password was given"), ("", "the password is empty")):
        result = keys("new", tmp_path / "key.json", password=password)
        assert result.exit_code == 1
        assert words in result.stderr
    assert os.listdir(tmp_path) == []


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "password"
    result = keys("new", tmp_path / "key.json", "--password-file", missing, "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["reason"] == "keystore-error"
    assert str(missing) in error["message"]


def test_without_a_key_nothing_is_imported(tmp_path: Path) -> None:
    result = keys("import", tmp_path / "key.json")
    assert result.exit_code == 1
    assert "no key was given" in result.stderr


def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text("{}")
    assert "not a keystore file" in keys("show", path).stderr
