"""API keys are random, recognisable, and stored as keyed hashes."""

from __future__ import annotations

import pytest

from serve_app.merchants.secrets import digest, is_live, is_well_formed, new_secret


@pytest.mark.parametrize("livemode", [False, True])
def test_a_key_says_its_mode_and_never_repeats(livemode: bool) -> None:
    """A thousand keys are well formed, of their mode, and all different."""
    made = {new_secret(livemode) for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_well_formed(secret) and is_live(secret) is livemode for secret in made)


@pytest.mark.parametrize(
    "text", ["", "sk_test_", "sk_test_" + "a" * 31, "sk_prod_" + "a" * 32, "sk_test_" + "a" * 32 + "\n"]
)
def test_other_text_costs_no_look_up(text: str) -> None:
    """Anything that cannot be a key is told apart without asking anybody."""
    assert not is_well_formed(text)


def test_the_hash_needs_the_pepper() -> None:
    """The same key under another pepper is another hash; it never holds the key."""
    secret = new_secret(False)
    first = digest(secret, b"one pepper")
    assert len(first) == 32
    assert first == digest(secret, b"one pepper") != digest(secret, b"another")
