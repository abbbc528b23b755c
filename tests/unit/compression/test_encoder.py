"""What is encoded comes back as it was, whole and in chunks, with decoders that are not ours."""

from __future__ import annotations

import pytest
import zstandard

from serve_app.compression.coding import CODINGS, Codec, Coding
from serve_app.compression.encoder import Encoder, chunk_encoder
from tests.support.encoded import decode, decode_chunks

_CODINGS = [coding for codings in CODINGS.values() for coding in codings]
_TEXT = b'{"object":"payment","amount":1999,"currency":"USD"},' * 200


@pytest.fixture(params=_CODINGS, ids=lambda coding: f"{coding.codec}-{coding.level}")
def coding(request: pytest.FixtureRequest) -> Coding:
    """Return each coding."""
    found: Coding = request.param
    return found


def test_a_body_comes_back_as_it_was(coding: Coding) -> None:
    """Also the second from the same encoder; and a text is smaller than it was, always by the same."""
    encoder = Encoder()
    for body in (_TEXT, b"x", _TEXT):
        assert decode(coding.codec, encoder.encode(body, coding)) == body
    assert len(encoder.encode(_TEXT, coding)) < len(_TEXT) / 10
    assert encoder.encode(_TEXT, coding) == Encoder().encode(_TEXT, coding)


def test_each_chunk_can_be_decoded_when_it_comes(coding: Coding) -> None:
    """The receiver has all that was sent, before the next chunk is made."""
    encoder = chunk_encoder(coding)
    chunks = [b"first ", _TEXT, b"last"]
    sent = (encoder.finish(chunk) if chunk == b"last" else encoder.encode(chunk) for chunk in chunks)
    assert list(decode_chunks(coding.codec, sent)) == chunks


def test_two_streams_do_not_disturb_each_other(coding: Coding) -> None:
    """Nor a whole body in between."""
    whole = Encoder()
    one, two = chunk_encoder(coding), chunk_encoder(coding)
    parts_one, parts_two = [one.encode(b"1" * 50)], [two.encode(_TEXT)]
    assert decode(coding.codec, whole.encode(_TEXT, coding)) == _TEXT
    parts_two.append(two.finish(b"2"))
    parts_one.append(one.finish(b""))
    assert decode(coding.codec, b"".join(parts_one)) == b"1" * 50
    assert decode(coding.codec, b"".join(parts_two)) == _TEXT + b"2"


@pytest.mark.parametrize("level", [coding.level for coding in CODINGS[Codec.ZSTD]])
def test_zstd_keeps_the_window_of_http(level: int) -> None:
    """RFC 9659 lets decoders refuse more than 8 MB; a stream does not say how long it will be."""
    header = chunk_encoder(Coding(Codec.ZSTD, level)).encode(b"x" * 100_000)
    assert zstandard.get_frame_parameters(header).window_size <= 8 * 1024 * 1024
