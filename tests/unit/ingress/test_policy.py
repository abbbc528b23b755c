"""Ports, options and the policy on its way to the launcher."""

from __future__ import annotations

import pytest

from cluster.ingress.policy import HardeningPolicy, IngressOptions, IngressPorts


def test_a_policy_survives_the_way_to_the_launcher() -> None:
    """What the launcher reads is what the environment wrote."""
    policy = HardeningPolicy(1, 2, listen="::", trusted_proxies=("10.0.0.0/8", "fd00::/8"))
    assert HardeningPolicy.from_json(policy.to_json()) == policy


def test_a_foreign_policy_is_refused() -> None:
    """A member that this version does not know is an error, not a default."""
    with pytest.raises(ValueError, match="policy"):
        HardeningPolicy.from_json('{"stats_port":1,"metrics_port":2,"surprise":3}')


def test_a_block_of_ports_has_no_port_twice() -> None:
    """Two gateways with blocks side by side do not clash."""
    first, second = IngressPorts.starting_at(18400), IngressPorts.starting_at(18503)
    used = [
        {ports.stats, ports.metrics, ports.fallback, *range(ports.replicas_first, ports.replicas_last + 1)}
        for ports in (first, second)
    ]
    assert [len(ports) for ports in used] == [103, 103]
    assert not used[0] & used[1]


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "0.0.0.0 accept-proxy"},
        {"listen": ""},
        {"certificate": "a'b"},
        {"trusted_proxies": ("any",)},
    ],
)
def test_an_option_cannot_add_directives(options: dict[str, object]) -> None:
    """Values that would change the meaning of a configuration line are refused."""
    with pytest.raises(ValueError, match=r"."):
        IngressOptions(**options)  # type: ignore[arg-type]
