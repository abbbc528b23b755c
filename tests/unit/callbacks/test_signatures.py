"""A callback is let in with its processor's signature of the last five minutes, and with nothing else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from serve_app.callbacks.signatures import CallbackSignatures
from serve_app.problems import Code, Problem
from serve_app.processors.acquirer.callbacks import signed_headers

_SECRET = "whsec_" + base64.b64encode(b"a secret of a test processor....").decode()
_OTHER = "whsec_" + base64.b64encode(b"another secret, of another one..").decode()
_SIGNATURES = CallbackSignatures({"acquirer": _SECRET, "live": _OTHER})
_BODY = '{"type":"operation.finished"}'

Headers = list[tuple[bytes, bytes]]


def _headers(secret: str = _SECRET, body: str = _BODY, at: datetime | None = None) -> Headers:
    signed = signed_headers(Webhook(secret), "msg_1", body, at or datetime.now(UTC))
    return [(name.lower().encode(), value.encode()) for name, value in signed.items()]


def _verify(headers: Headers, body: bytes = _BODY.encode(), processor: str = "acquirer") -> str:
    return _SIGNATURES.verify({"name": processor}, headers, body)


def _without(name: bytes) -> Headers:
    return [header for header in _headers() if header[0] != name]


def _with(name: bytes, value: bytes) -> Headers:
    return [*_without(name), (name, value)]


def test_the_id_of_a_signed_message_is_told() -> None:
    """It is what repeats have in common."""
    assert _verify(_headers()) == "msg_1"


def test_one_of_several_signatures_is_enough() -> None:
    """A sender that changes its secret signs with both for a while."""
    both = dict(_headers())[b"webhook-signature"] + b" " + dict(_headers(_OTHER))[b"webhook-signature"]
    assert _verify(_with(b"webhook-signature", both)) == "msg_1"
    assert _verify(_with(b"webhook-signature", both), processor="live") == "msg_1"


def test_one_at_the_edge_of_the_tolerance_is_let_in() -> None:
    """Clocks differ, and a message may have been under way."""
    for minutes in (-4.9, 4.9):
        assert _verify(_headers(at=datetime.now(UTC) + timedelta(minutes=minutes))) == "msg_1"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        _without(b"webhook-id"),
        _without(b"webhook-timestamp"),
        _without(b"webhook-signature"),
        [*_headers(), (b"webhook-id", b"msg_1")],
        _with(b"webhook-id", b"msg_2"),
        _with(b"webhook-id", b"m" * 300),
        _with(b"webhook-id", b""),
        _with(b"webhook-timestamp", b"1"),
        _with(b"webhook-timestamp", b"soon"),
        _with(b"webhook-timestamp", b"inf"),
        _with(b"webhook-timestamp", b"nan"),
        _with(b"webhook-timestamp", b"9" * 400),
        _with(b"webhook-signature", b""),
        _with(b"webhook-signature", b"v1"),
        _with(b"webhook-signature", b"v1,"),
        _with(b"webhook-signature", b"v1,a,b"),
        _with(b"webhook-signature", b"v1,\xff\xfe"),
        _with(b"webhook-signature", b"v2," + base64.b64encode(b"x" * 32)),
        _headers(_OTHER),
        _headers(body=_BODY + " "),
    ],
)
def test_what_is_not_signed_so_is_refused(headers: Headers) -> None:
    """401, however it is malformed."""
    with pytest.raises(Problem) as caught:
        _verify(headers)
    assert caught.value.code is Code.SIGNATURE_INVALID


@pytest.mark.parametrize("minutes", [-5.1, 5.1])
def test_one_beyond_the_tolerance_is_refused(minutes: float) -> None:
    """401: it may have been overheard long ago."""
    with pytest.raises(Problem) as caught:
        _verify(_headers(at=datetime.now(UTC) + timedelta(minutes=minutes)))
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_a_body_that_is_no_text_is_refused() -> None:
    """401, and no fault of ours."""
    with pytest.raises(Problem) as caught:
        _verify(_headers(), b"\xff\xfe")
    assert caught.value.code is Code.SIGNATURE_INVALID


def test_one_processor_s_secret_is_no_other_s() -> None:
    """Test and live processors are apart."""
    with pytest.raises(Problem):
        _verify(_headers(), processor="live")


def test_a_processor_without_a_secret_has_no_such_path() -> None:
    """404, as for one that does not exist."""
    with pytest.raises(Problem) as caught:
        _verify(_headers(), processor="simulator")
    assert caught.value.code is Code.NOT_FOUND
