"""Files for one pair of eyes."""

from __future__ import annotations

import stat
from pathlib import Path

from cluster.private_file import SecretsFile, new_secret, write_private


def test_a_private_file_is_readable_by_its_owner_alone_even_in_place_of_an_open_one(tmp_path: Path) -> None:
    """A file that was open to others before is not afterwards."""
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    """Every run of a gateway has the secrets of the first."""
    first = SecretsFile(tmp_path / "secrets.json").ensure("pepper")
    again = SecretsFile(tmp_path / "secrets.json")
    assert again.ensure("pepper") == first
    assert again.ensure("other") != first
    assert again.read() == {"pepper": first, "other": again.ensure("other")}


def test_a_secret_can_be_replaced(tmp_path: Path) -> None:
    """What is put wins over what was made."""
    secrets = SecretsFile(tmp_path / "secrets.json")
    secrets.ensure("pepper")
    secrets.put("pepper", "given")
    assert secrets.ensure("pepper") == "given"


def test_a_new_secret_holds_32_bytes_and_may_stand_in_a_url() -> None:
    """Passwords are put into URLs as they are."""
    secret = new_secret()
    assert len(secret) == 43
    assert secret.replace("-", "").replace("_", "").isalnum()
