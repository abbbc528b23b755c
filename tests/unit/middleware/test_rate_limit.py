"""What a client sees of the limits: 429 with Retry-After, and the headers on every answer that was counted."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from starlette.types import ASGIApp

from actors.cache.limits.limiter import Limiter
from actors.runtime.clock import ManualClock
from serve_app.middleware.access_log import BatchedLines
from serve_app.middleware.rate_limit import REQUESTS, RateLimits
from tests.unit.http.exchange import CALLER, KEY, Exchange, Keys, Lines, Things, ask, edge, limits_of

_BAD_KEY = (b"authorization", b"Bearer sk_test_unknown")


async def _read(app: ASGIApp, *headers: tuple[bytes, bytes]) -> Exchange:
    return await ask(app, "GET", "/things/a", headers=headers)


def _edge(limits: RateLimits, things: Things | None = None, keys: Keys | None = None) -> ASGIApp:
    lines: BatchedLines = Lines()
    return edge(things or Things(), keys, lines, limits)


async def test_what_is_too_much_is_refused_and_reaches_nothing() -> None:
    """429 with the code, Retry-After of a window at the most, and the endpoint is not called."""
    things = Things()
    app = _edge(limits_of(merchant_per_minute=3), things)
    answers = [await _read(app, KEY) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert len(things.calls) == 3
    refused = answers[-1]
    assert refused.json["code"] == "rate_limited"
    assert 1 <= int(refused.header("retry-after") or 0) <= 60
    assert refused.header("ratelimit") == f'"merchant";r=0;t={refused.header("retry-after")}'


async def test_every_answer_says_what_is_left() -> None:
    """As structured fields, also where the answer is a problem."""
    app = _edge(limits_of(merchant_per_minute=10))
    first, missing = await _read(app, KEY), await ask(app, "POST", "/things", headers=[KEY])
    assert (first.header("ratelimit"), missing.header("ratelimit")) == ('"merchant";r=9;t=60', '"merchant";r=8;t=60')
    assert missing.status == 400
    assert first.header("ratelimit-policy") == missing.header("ratelimit-policy") == '"merchant";q=10;w=60'


async def test_a_sensitive_operation_has_a_limit_of_its_own_as_well() -> None:
    """A fifth; one that it refuses takes nothing of the merchant's."""
    app = _edge(limits_of(merchant_per_minute=10))
    path = "/things/a/change"
    answers = [await ask(app, "POST", path, headers=[KEY]) for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 429, 429]
    assert answers[1].header("ratelimit") == '"sensitive";r=0;t=60, "merchant";r=8;t=60'
    assert answers[1].header("ratelimit-policy") == '"sensitive";q=2;w=60, "merchant";q=10;w=60'
    assert (await _read(app, KEY)).header("ratelimit") == '"merchant";r=7;t=60'


async def test_a_merchant_at_its_limit_keeps_its_sensitive_permits() -> None:
    """What the merchant's limit refuses takes nothing of the stricter one."""
    limits = limits_of(merchant_per_minute=10)
    app = _edge(limits)
    for _ in range(10):
        await _read(app, KEY)
    for _ in range(3):
        refused = await ask(app, "POST", "/things/a/change", headers=[KEY])
        assert refused.status == 429
        assert (refused.header("ratelimit") or "").startswith('"sensitive";r=2;')


@pytest.mark.parametrize(("own", "admitted"), [(2, 2), (0, 8), (None, 4)])
async def test_a_merchants_own_limit_goes_before_the_default(own: int | None, admitted: int) -> None:
    """Also where it is 0, which is none; then there are no headers."""
    app = _edge(limits_of(merchant_per_minute=4), keys=Keys(replace(CALLER, rate_limit_per_minute=own)))
    answers = [await _read(app, KEY) for _ in range(8)]
    assert sum(answer.status == 200 for answer in answers) == admitted
    assert (answers[0].header("ratelimit") is None) == (own == 0)


async def test_merchants_do_not_share_a_limit() -> None:
    """One that is at its limit takes nothing of another's."""
    limits = limits_of(merchant_per_minute=1)
    other = Keys(replace(CALLER, merchant_id=UUID(int=77)))
    apps = [_edge(limits), _edge(limits, keys=other)]
    assert [(await _read(app, KEY)).status for app in (*apps, *apps)] == [200, 200, 429, 429]


@pytest.mark.parametrize("headers", [[_BAD_KEY], []])
async def test_requests_without_a_known_key_share_one_limit(headers: list[tuple[bytes, bytes]]) -> None:
    """Past it nothing is looked up for them, and a key that is known goes on."""
    keys = Keys()
    app = _edge(limits_of(unknown_per_minute=3), keys=keys)
    assert (await _read(app, KEY)).status == 200
    answers = [await _read(app, *headers) for _ in range(4)]
    assert [answer.status for answer in answers] == [401, 401, 429, 429]
    assert len(keys.asked) == 1 + (2 if headers else 0)
    assert answers[0].header("ratelimit-policy") == '"unauthenticated";q=3;w=60'
    assert (await _read(app, KEY)).status == 200


async def test_what_is_open_is_not_counted() -> None:
    """Health checks go on whatever happens."""
    app = _edge(limits_of(merchant_per_minute=1, unknown_per_minute=1))
    for _ in range(5):
        answer = await ask(app, "GET", "/health")
        assert (answer.status, answer.header("ratelimit")) == (200, None)


async def test_a_key_without_the_scope_is_counted_all_the_same() -> None:
    """As a use of the key, and by its merchant's limit: 403 first, and then 429."""
    keys = Keys()
    app = _edge(limits_of(merchant_per_minute=2), keys=keys)
    answers = [await ask(app, "DELETE", "/things/a", headers=[KEY]) for _ in range(3)]
    assert [answer.status for answer in answers] == [403, 403, 429]
    assert answers[0].header("ratelimit") == '"merchant";r=1;t=60'
    assert len(keys.uses) == 3


def _from(address: str) -> tuple[bytes, bytes]:
    return b"x-forwarded-for", address.encode()


async def test_one_address_cannot_use_up_the_limit_of_all() -> None:
    """It is refused by its own first, which takes nothing of the other; the next address goes on."""
    app = _edge(limits_of(unknown_per_minute=5, address_per_minute=2))
    busy = [await _read(app, _from("192.0.2.1")) for _ in range(6)]
    assert [answer.status for answer in busy] == [401, 401, 429, 429, 429, 429]
    assert busy[0].header("ratelimit-policy") == '"address";q=2;w=60, "unauthenticated";q=5;w=60'
    assert (busy[-1].header("ratelimit") or "").startswith('"address";r=0;')
    others = [await _read(app, _from(f"192.0.2.{number}")) for number in (2, 3, 4, 5)]
    assert [answer.status for answer in others] == [401, 401, 401, 429]


async def test_a_site_has_one_limit_over_all_its_addresses() -> None:
    """A /64 of IPv6; the next site has its own."""
    app = _edge(limits_of(address_per_minute=2))
    answers = [await _read(app, _from(f"2001:db8::{number}")) for number in range(1, 4)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert (await _read(app, _from("2001:db8:0:1::1"))).status == 401


async def test_without_a_limit_for_addresses_the_header_changes_nothing() -> None:
    """Whatever a client writes into it."""
    app = _edge(limits_of(unknown_per_minute=3))
    answers = [await _read(app, _from(f"192.0.2.{number}")) for number in range(5)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[0].header("ratelimit-policy") == '"unauthenticated";q=3;w=60'


async def test_addresses_past_the_bound_share_the_limit_of_all() -> None:
    """Nobody is turned away because there are many; those that are known keep their own limit."""
    app = _edge(limits_of(unknown_per_minute=100, address_per_minute=1, addresses_max=2))
    statuses = [(await _read(app, _from(f"192.0.2.{number}"))).status for number in (1, 2, 3, 3, 4, 1)]
    assert statuses == [401, 401, 401, 401, 401, 429]


async def test_a_key_that_is_known_has_no_limit_of_its_address() -> None:
    """Merchants behind one address do not share one."""
    app = _edge(limits_of(address_per_minute=1))
    assert [(await _read(app, KEY, _from("192.0.2.1"))).status for _ in range(3)] == [200, 200, 200]
    assert (await _read(app, _from("192.0.2.1"))).status == 429


async def test_what_was_decided_is_counted() -> None:
    """At hand or not; a request that passes two limits in both, one that is refused where it was."""
    limits = limits_of(merchant_per_minute=10, unknown_per_minute=3, address_per_minute=2)
    app = _edge(limits)
    for _ in range(4):
        await _read(app, KEY)
    for _ in range(3):
        await ask(app, "POST", "/things/a/change", headers=[KEY])
    for number in (1, 1, 1, 2, 3):
        await _read(app, _from(f"192.0.2.{number}"))
    counted = {series.labels: count for series, count in limits.tallies().items() if series.name == REQUESTS}
    # The first read comes with a key that nobody has met, and no address.
    assert counted == {
        ("merchant", "admitted"): 6,
        ("merchant", "refused"): 0,
        ("sensitive", "admitted"): 2,
        ("sensitive", "refused"): 1,
        ("address", "admitted"): 2,
        ("address", "refused"): 1,
        ("unauthenticated", "admitted"): 3,
        ("unauthenticated", "refused"): 2,
    }


async def test_utilisation_is_that_of_the_merchant_who_is_nearest_to_his_limit() -> None:
    """Within about a minute, however often it is asked; a limit that nobody used is used by nothing."""
    clock = ManualClock()
    limits = RateLimits(Limiter(None, processes=1), merchant_per_minute=10, unknown_per_minute=0, clock=clock.monotonic)
    app = _edge(limits)
    assert limits.utilisation() == 0
    for _ in range(4):
        await _read(app, KEY)
    for _ in range(29 * 4):
        clock.advance(0.25)
        assert limits.utilisation() == pytest.approx(0.4)
    for _ in range(8):
        await _read(app, KEY)
    assert limits.utilisation() == 1
    clock.advance(30)
    assert limits.utilisation() == 1
    clock.advance(31)
    assert limits.utilisation() == 0


async def test_utilisation_that_nobody_asked_for_in_time_is_forgotten() -> None:
    """What was used before the last two half windows says nothing of now."""
    clock = ManualClock()
    limits = RateLimits(Limiter(None, processes=1), merchant_per_minute=10, unknown_per_minute=0, clock=clock.monotonic)
    await _read(_edge(limits), KEY)
    clock.advance(90)
    assert limits.utilisation() == 0
