"""Sealed data opens just as it was sealed, or not at all."""

from __future__ import annotations

import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cache.level2.journal import NotOwner
from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.sealing import KEY_BYTES, OVERHEAD_BYTES, SealBroken, Sealer, key_from_text

_KEY = bytes(range(KEY_BYTES))
_SEALER = Sealer(_KEY)


@given(name=st.text(max_size=50), data=st.binary(max_size=200))
def test_what_was_sealed_opens(name: str, data: bytes) -> None:
    """Under the same name, with another sealer of the same key, and it is 28 bytes longer."""
    sealed = _SEALER.seal(name, data)
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert Sealer(_KEY).open(name, sealed) == data


def test_equal_data_never_looks_equal() -> None:
    """Each seal has a nonce of its own, so nobody sees that a value did not change."""
    assert len({_SEALER.seal("name", b"data") for _ in range(100)}) == 100


@given(data=st.binary(max_size=60), draw=st.data())
def test_any_changed_bit_breaks_the_seal(data: bytes, draw: st.DataObject) -> None:
    """In nonce, ciphertext and tag alike."""
    sealed = bytearray(_SEALER.seal("name", data))
    bit = draw.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        _SEALER.open("name", bytes(sealed))


@given(sealed=st.binary(max_size=80))
def test_foreign_bytes_do_not_open(sealed: bytes) -> None:
    """Short ones neither."""
    with pytest.raises(SealBroken):
        _SEALER.open("name", sealed)


@pytest.mark.parametrize("length", [0, 1, OVERHEAD_BYTES - 1, OVERHEAD_BYTES, OVERHEAD_BYTES + 3])
def test_a_seal_that_was_cut_short_does_not_open(length: int) -> None:
    """Whether or not a nonce and a tag would fit into what is left."""
    with pytest.raises(SealBroken):
        _SEALER.open("name", _SEALER.seal("name", b"data")[:length])


def test_data_of_one_name_passes_for_no_other() -> None:
    """Copying an entry of Redis to another key does not deceive."""
    with pytest.raises(SealBroken) as broken:
        _SEALER.open("payment:2", _SEALER.seal("payment:1", b"data"))
    assert str(broken.value) == "the seal of payment:2 is broken"


def test_another_key_opens_nothing() -> None:
    """After a rotation everything is a miss."""
    with pytest.raises(SealBroken):
        Sealer(bytes(KEY_BYTES)).open("name", _SEALER.seal("name", b"data"))


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """Though AES has keys of 16 and 24 bytes: a shorter one is a mistake."""
    with pytest.raises(ValueError, match=f"the key has {length} bytes, not 32"):
        Sealer(bytes(length))


@given(key=st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_a_key_is_read_from_text(key: bytes) -> None:
    """With padding, without, and with the line end of a file."""
    text = base64.urlsafe_b64encode(key).decode()
    assert key_from_text(text) == key_from_text(text.rstrip("=")) == key_from_text(f" {text}\n") == key


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the key has 0 bytes, not 32"),
        (base64.urlsafe_b64encode(bytes(31)).decode(), "the key has 31 bytes, not 32"),
        ("sEcReT" * 8 + "/+", "the key is not url-safe base64"),
        ("sEcReT sEcReT", "the key is not url-safe base64"),
        ("sEcReTé", "the key is not url-safe base64"),
        ("sEcRe", "the key is not url-safe base64"),
    ],
)
def test_a_faulty_text_is_refused_without_being_told(text: str, fault: str) -> None:
    """The error names the fault and holds nothing of the text, nor does anything that it was raised from."""
    with pytest.raises(ValueError, match=fault) as refused:
        key_from_text(text)
    assert "sEcReT" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("error", [SealBroken("name"), NotOwner("name"), ServerRestarted("redis", "why", 0.0)])
def test_an_error_survives_pickling(error: Exception) -> None:
    """Same class, same arguments, same text."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, str(copy)) == (type(error), error.args, str(error))
