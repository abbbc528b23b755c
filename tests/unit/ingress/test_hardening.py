"""The hardening of Serve's configuration, as text."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from cluster.ingress.hardening import MARK, MAX_BODY_BYTES, MAX_HEAD_BYTES, harden, serves_application
from cluster.ingress.policy import HardeningPolicy
from cluster.ingress.sections import HardeningError
from serve_app.http.body import BODY_BYTES_MAX

POLICY = HardeningPolicy(stats_port=8404, metrics_port=9101)


def _served() -> str:
    """Let the installed Ray Serve write its configuration for one application with two replicas and a fallback."""
    with TemporaryDirectory() as folder:
        config = HAProxyConfig(
            socket_path=f"{folder}/a.sock",
            server_state_base=folder,
            server_state_file=f"{folder}/state",
            metrics_socket_path=f"{folder}/m.sock",
            is_head=True,
            http_options=HTTPOptions(host="127.0.0.1", port=8000),
        )
        api = HAProxyApi(config, config_file_path=f"{folder}/haproxy.cfg")
        servers = [ServerConfig(f"r{index}", "127.0.0.1", 30000 + index) for index in range(2)]
        fallback = ServerConfig("fb", "127.0.0.1", 8500)
        backend = BackendConfig("http-easypay", "/", servers=servers, fallback_server=fallback, app_name="easypay")
        api.set_backend_configs({backend.name: backend})
        api._generate_config_file_internal()
        return Path(f"{folder}/haproxy.cfg").read_text(encoding="utf-8")


SERVED = _served()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_only_the_public_bind_leaves_loopback() -> None:
    """Statistics and metrics listen on 127.0.0.1 whatever the public address is."""
    text = harden(SERVED, HardeningPolicy(stats_port=8404, metrics_port=9101, listen="0.0.0.0"))
    binds = [line.split()[1] for line in _lines(text) if line.startswith("bind ")]
    assert binds == ["127.0.0.1:9101", "0.0.0.0:8000", "127.0.0.1:8404"]


def test_hardening_twice_changes_nothing() -> None:
    """A configuration that is hardened comes back as it is."""
    once = harden(SERVED, POLICY)
    assert once.startswith(MARK)
    assert harden(once, POLICY) == once


def test_a_whole_request_fits_the_buffer() -> None:
    """The largest body that the application takes fits behind the longest head, so that its drip ends at the
    ingress."""
    lines = _lines(harden(SERVED, POLICY))
    sizes = {
        name: int(value)
        for name, value in (line[5:].split() for line in lines if line.startswith("tune."))
        if value.isdigit()
    }
    assert MAX_BODY_BYTES == BODY_BYTES_MAX
    assert sizes["bufsize"] - sizes["maxrewrite"] >= MAX_HEAD_BYTES + BODY_BYTES_MAX
    assert "option http-buffer-request" in lines


@pytest.mark.parametrize(
    "anchor",
    [
        "stats socket",
        "log 127.0.0.1:514 local0 info",
        "retry-on conn-failure",
        "errorfile 503",
        "timeout client 3600s",
        "bind :9101",
        "bind *:8404",
        "bind 127.0.0.1:8000",
        "acl healthcheck path -i /-/healthz",
        "http-request return status 200 content-type application/json",
        "option httpchk GET /-/healthz",
        "frontend http_frontend",
        "listen stats",
        "backend default_backend\n",
    ],
)
def test_a_changed_template_is_refused(anchor: str) -> None:
    """Where a line that hardening expects is missing, it fails: it never leaves a part unhardened."""
    assert anchor in SERVED
    changed = SERVED.replace(anchor, f"x{anchor}")
    with pytest.raises(HardeningError):
        harden(changed, POLICY)


@pytest.mark.parametrize(
    "section", ["frontend grpc_frontend\n    bind *:9000 proto h2", "backend grpc-app\n    log global"]
)
def test_an_unknown_section_is_refused(section: str) -> None:
    """A way in that hardening does not know is not opened."""
    with pytest.raises(HardeningError, match="unknown"):
        harden(f"{SERVED}{section}\n", POLICY)


def test_nothing_is_sent_twice() -> None:
    """Retries stay those of refused connections, and Serve's fallback serves only where no replica does."""
    lines = _lines(harden(SERVED, POLICY))
    assert [line for line in lines if line.startswith("retry-on")] == ["retry-on conn-failure"]
    servers = [line for line in lines if line.startswith("server ")]
    assert [line.endswith(" backup") for line in servers] == [False, False, True]


def test_a_replica_has_no_more_requests_than_it_can_refuse() -> None:
    """Replicas have a bound, the fallback none, and what finishes payments goes first behind it."""
    lines = _lines(harden(SERVED, POLICY))
    servers = [line for line in lines if line.startswith("server ")]
    assert [line.endswith(f" maxconn {POLICY.replica_requests_max}") for line in servers] == [True, True, False]
    assert "http-request set-priority-class int(-1) if METH_POST { path_end /capture /void /refunds }" in lines


def test_every_wait_has_a_bound_of_a_minute() -> None:
    """No client and no replica holds anything for more than 60 seconds."""
    lines = _lines(harden(SERVED, POLICY))
    timeouts = {
        line.split()[1]: int(line.split()[2].removesuffix("s")) for line in lines if line.startswith("timeout ")
    }
    assert {
        "client",
        "server",
        "connect",
        "queue",
        "http-request",
        "http-keep-alive",
        "check",
    } <= timeouts.keys()
    assert max(timeouts.values()) <= 60
    assert timeouts["server"] > 30


def test_an_empty_ingress_is_told_from_a_serving_one() -> None:
    """Only a configuration with an application's backend serves one."""
    assert serves_application(SERVED)
    assert not serves_application(SERVED.replace("backend http-easypay", "backend other"))
