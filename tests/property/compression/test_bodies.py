"""Whatever a client accepts and an app answers, the client can read it, and it is what the app said."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from actors.runtime.lag import LoopLag
from serve_app.compression.compressor import Compressor
from serve_app.middleware.compression import Compression
from tests.support.encoded import decode
from tests.unit.http.exchange import ask

_CODINGS = ["gzip", "br", "zstd", "identity", "*", "x-gzip", "deflate", "GZIP"]
_WEIGHTS = ["", ";q=0", ";q=1", ";q=0.5", "; q=0.001", ";Q=0.000", ";q=1.5", ";q", ";level=3"]
_MEMBERS = st.tuples(st.sampled_from(_CODINGS), st.sampled_from(_WEIGHTS))
_FIELDS = st.lists(_MEMBERS, max_size=6)
_REPEATED = st.tuples(st.binary(min_size=1, max_size=40), st.integers(1, 300)).map(lambda pair: pair[0] * pair[1])
_PARTS = st.lists(st.binary(max_size=2_000) | _REPEATED, min_size=1, max_size=5)
_TYPES = st.sampled_from([b"application/json", b"text/plain", b"image/png"])


def _acceptable(members: list[tuple[str, str]], coding: str) -> bool:
    """Return whether a coding is acceptable: written from the rules of the RFC, and not as the gateway reads them.

    Malformed weights count as not sent; of two for one coding the lower counts.
    """
    weights = {"": 1.0, ";q=0": 0.0, ";q=1": 1.0, ";q=0.5": 0.5, "; q=0.001": 0.001, ";Q=0.000": 0.0}
    valid = [(name.lower().removeprefix("x-"), weights[weight]) for name, weight in members if weight in weights]
    listed = [weight for name, weight in valid if name == coding]
    if listed:
        return min(listed) > 0
    starred = [weight for name, weight in valid if name == "*"]
    if coding == "identity":
        return not starred or min(starred) > 0
    return bool(starred) and min(starred) > 0


@settings(max_examples=300, deadline=None)
@given(_FIELDS | st.none(), _PARTS, st.booleans(), st.booleans(), _TYPES, st.sampled_from([0.0, 0.8, 9.0]))
async def test_every_body_can_be_read_by_its_client(
    members: list[tuple[str, str]] | None,
    parts: list[bytes],
    declares_length: bool,
    streams: bool,
    content_type: bytes,
    lag_ms: float,
) -> None:
    """The decoded bytes are those of the app, in a coding that was acceptable.

    A body comes as it is although that was refused only where none of our codings was acceptable either.
    """
    body = b"".join(parts)

    async def app(_: Scope, __: Receive, send: Send) -> None:
        length = [(b"content-length", b"%d" % len(body))] if declares_length else []
        start = [(b"content-type", content_type), *length]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        chunks = [*parts, b""] if streams else [body]
        for index, chunk in enumerate(chunks, 1):
            await send({"type": "http.response.body", "body": chunk, "more_body": index < len(chunks)})

    members_given = members or []
    field = ", ".join(name + weight for name, weight in members_given).encode()
    headers = [(b"accept-encoding", field)] if members is not None else []
    compression = Compression(app, Compressor(lambda: LoopLag(lag_ms / 1000, 0.0, lag_ms / 1000)))
    answer = await ask(compression, "GET", "/x", headers=headers)
    coding = answer.header("content-encoding")
    event(f"coding {coding}")
    assert decode(coding, answer.body) == body
    assert answer.header("content-length") in (None, str(len(answer.body)))
    if coding is not None:
        assert _acceptable(members_given, coding)
        assert answer.header("vary") == "Accept-Encoding"
        assert streams or len(answer.body) < len(body) or not _acceptable(members_given, "identity")
    elif body and members and not _acceptable(members, "identity"):
        assert not any(_acceptable(members, ours) for ours in ("gzip", "br", "zstd"))
