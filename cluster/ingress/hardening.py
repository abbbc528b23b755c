"""Harden the configuration that Ray Serve writes for HAProxy: a function from text to text.

Every edit names the line that it expects. Where Serve's template has changed, hardening fails and the ingress
does not start: an ingress that is silently open would be worse. Standard library only: the launcher loads
this file in a bare interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cluster.ingress.answers import BODY_TOO_LARGE, HEAD_TOO_LONG, NO_REPLICA, NOT_FOUND, error_directives
from cluster.ingress.policy import HardeningPolicy
from cluster.ingress.sections import HardeningError, Section, parse, render
from cluster.ingress.shedding import FINISHING, frontend_rules, table_section

MARK = "# Hardened by EasyPay from the configuration that Ray Serve wrote.\n"

# Headers by which a client could steer Serve (a deadline that cancels, no watch for hang-ups, a chosen
# replica) or pretend to be a proxy. Serve reads "-" and "_" as the same in two of them.
_STRIPPED_HEADERS = (
    "^(x-request-timeout-seconds|x-request-disconnect-disabled|serve[-_]multiplexed[-_]model[-_]id"
    "|x[-_]session[-_]id|x-serve-router-.*|x[-_]forwarded[-_].*|forwarded|x[-_]real[-_]ip|x-haproxy-.*)$"
)
_LOOPBACK = "127.0.0.1"
# HAProxy holds a whole request, head and body, before it troubles a replica. The body is the largest that the
# application takes (serve_app/http/body.py); chunks add their framing to it. The reserve is what the rules
# below may add to the head. Two such buffers for each of Serve's 8,192 connections would be 1.6 GB; one is in
# use only while a request or an answer passes.
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
_REWRITE_RESERVE_BYTES = 4 * 1024
_BUFFER_BYTES = MAX_HEAD_BYTES + MAX_BODY_BYTES + 12 * 1024 + _REWRITE_RESERVE_BYTES
_NO_MATCH = "backend default_backend"
# Serve names the backend of an application <protocol>-<application>.
_APPLICATION = "backend http-"


def harden(text: str, policy: HardeningPolicy) -> str:
    """Return the hardened configuration; a hardened one comes back unchanged.

    Raise HardeningError where the text is not what Ray Serve 2.60 writes.
    """
    if text.startswith(MARK):
        return text
    sections = parse(text)
    for section in sections:
        _editor(section.header)(section, policy)
    _require_complete(sections)
    if not any(_is_application(section) for section in sections):
        _answer_overloaded(sections)
    sections.append(Section(*table_section()))
    return MARK + render(sections)


def serves_application(text: str) -> bool:
    """Say whether a configuration routes to an application, or is that of a proxy that knows none yet."""
    return any(line.startswith(_APPLICATION) for line in text.splitlines())


def _editor(header: str) -> Callable[[Section, HardeningPolicy], None]:
    if header in _EDITORS:
        return _EDITORS[header]
    if header.startswith(_APPLICATION):
        return _harden_application
    raise HardeningError(f"section {header!r} is unknown; only Serve's HTTP ingress can be hardened")


def _is_application(section: Section) -> bool:
    return section.header.startswith(_APPLICATION)


def _answer_overloaded(sections: list[Section]) -> None:
    # A proxy that has just started has not heard of the application yet: its paths are not unknown, only not
    # served.
    section = next(section for section in sections if section.header == _NO_MATCH)
    section.lines = [f"http-request return status 503 {NO_REPLICA.reply()}"]


def _harden_global(section: Section, _policy: HardeningPolicy) -> None:
    # Serve's default sends every request line to a syslog port. Ray keeps the standard error of HAProxy in a
    # file: servers going up and down are worth that, a line for each request is not.
    section.replace(r"log \S.* local0 info", "log stderr format raw local0 notice")
    socket = r"stats socket (\S+) mode 666 level admin expose-fd listeners"
    section.require(socket)
    section.lines = [line.replace(" mode 666 ", " mode 600 ") for line in section.lines]
    section.replace(r"tune\.bufsize \d+", f"tune.bufsize {_BUFFER_BYTES}", f"tune.maxrewrite {_REWRITE_RESERVE_BYTES}")


def _harden_defaults(section: Section, policy: HardeningPolicy) -> None:
    for timeout in ("client", "server", "http-request", "http-keep-alive", "queue"):
        section.remove(rf"timeout {timeout} \S+", required=timeout in ("client", "http-keep-alive"))
    # Anything more than a refused connection could send a payment twice.
    section.require("retry-on conn-failure")
    for status in (502, 503, 504):
        section.remove(rf"errorfile {status} \S+")
    # Splicing would reserve a quarter more descriptors and never start on answers as small as ours.
    section.remove("option splice-(request|response)")
    # A client that goes away frees what its request holds: what waits for its turn is called off. One that closes only
    # its sending side cannot be told from it.
    section.require("option abortonclose")
    section.append(
        f"timeout client {policy.client_timeout_s}s",
        f"timeout server {policy.server_timeout_s}s",
        f"timeout http-request {policy.request_timeout_s}s",
        f"timeout http-keep-alive {policy.keep_alive_timeout_s}s",
        f"timeout queue {policy.queue_timeout_s}s",
        f"timeout check {policy.check_timeout_s}s",
        "timeout client-fin 5s",
        "timeout server-fin 5s",
        "timeout tarpit 5s",
        # Wait for the whole body inside `timeout http-request`: a dripping one costs a connection here and
        # nothing in a replica.
        "option http-buffer-request",
        "option clitcpka",
        *error_directives(),
    )


def _harden_prometheus(section: Section, policy: HardeningPolicy) -> None:
    section.replace(rf"bind :{policy.metrics_port}", f"bind {_LOOPBACK}:{policy.metrics_port}")


def _harden_stats(section: Section, policy: HardeningPolicy) -> None:
    section.replace(rf"bind \*:{policy.stats_port}", f"bind {_LOOPBACK}:{policy.stats_port}")
    section.append("no log")


def _harden_public(section: Section, policy: HardeningPolicy) -> None:
    bind = next((line for line in section.lines if line.startswith("bind ")), "bind")
    section.replace(r"bind \S+:\d+", _public_bind(bind, policy), *_frontend_rules(policy))
    section.require(r"acl healthcheck path -i /-/healthz")
    routes = r"http-request return status \d+ content-type \S+ string .* if routes"
    section.replace(routes, f"http-request return status 404 {NOT_FOUND.reply()} if serve_path !healthcheck")
    if not any(line.startswith("log ") and "format rfc5424" in line for line in section.lines):
        section.insert_after(r"unique-id-format .*|http-request set-var\(txn\.request_id\) .*", "no log")


def _public_bind(bind: str, policy: HardeningPolicy) -> str:
    address, _, port = bind.removeprefix("bind ").rpartition(":")
    if policy.listen is not None:
        address = f"[{policy.listen}]" if ":" in policy.listen else policy.listen
    tls = f" ssl crt {policy.certificate} alpn http/1.1" if policy.certificate else ""
    # HTTP/1.1 alone: HTTP/2 in clear text serves no client of ours and brings its own kinds of flood. An
    # unread answer (a window that stays shut) ends the connection after the client timeout.
    return f"bind {address}:{port} proto h1 tcp-ut {policy.client_timeout_s}s{tls}"


def _frontend_rules(policy: HardeningPolicy) -> list[str]:
    return [
        # The id of the client is kept where it is 1 to 128 visible characters, as the application does it.
        "acl request_id_valid req.fhdr(x-request-id) -m reg ^[!-~]{1,128}$",
        "http-request set-header X-Request-Id %[uuid] if !request_id_valid",
        "http-request set-var(txn.request_id) req.fhdr(x-request-id)",
        f"http-request return status 431 {HEAD_TOO_LONG.reply()} if {{ req.hdrs,length gt {MAX_HEAD_BYTES} }}",
        # The application refuses such a body too. Refused here, its rest is not read: uvicorn would read on.
        f"http-request return status 413 {BODY_TOO_LARGE.reply()} if {{ req.body_size gt {MAX_BODY_BYTES} }}",
        *_client_address_rules(policy),
        *frontend_rules(),
        "acl serve_path path,url_dec -i -m beg /-/",
        # Answers of a replica carry the mark; HAProxy's own do not.
        "http-response set-var(txn.from_replica) bool(true)",
        "http-after-response set-status 500 if { status 502 504 } !{ var(txn.from_replica) -m found }",
        "http-after-response set-header X-Request-Id %[var(txn.request_id)] if { var(txn.request_id) -m found }",
    ]


def _client_address_rules(policy: HardeningPolicy) -> list[str]:
    believed = []
    scheme = ["http-request set-var(txn.scheme) str(https) if { ssl_fc }"]
    if policy.trusted_proxies:
        believed = [
            f"acl from_trusted_proxy src {' '.join(policy.trusted_proxies)}",
            "http-request set-var(txn.scheme) str(https) if from_trusted_proxy { req.hdr(x-forwarded-proto) -i https }",
            # The last address is the one that the trusted hop itself saw.
            "http-request set-src req.hdr_ip(x-forwarded-for,-1) if from_trusted_proxy",
        ]
    return [
        *believed,
        *scheme,
        f"http-request del-header '{_STRIPPED_HEADERS}' -m reg",
        "http-request set-header X-Forwarded-For %[src]",
        "http-request set-header X-Forwarded-Proto https if { var(txn.scheme) -m found }",
        # Serve then makes no task that watches for a hang-up: none can cancel a payment, and requests are
        # cheaper.
        "http-request set-header X-Request-Disconnect-Disabled ?1",
    ]


def _harden_not_found(section: Section, _policy: HardeningPolicy) -> None:
    section.replace(r"http-request return status 404 .*", f"http-request return status 404 {NOT_FOUND.reply()}")


def _harden_application(section: Section, policy: HardeningPolicy) -> None:
    section.require(r"option httpchk GET /-/healthz")
    # A replica refuses cheaply what it cannot serve. Where even that is too much, requests wait here, the most
    # important first, and the rest gets its 503 from HAProxy, which is cheaper still.
    served = re.compile(r"server \S+ \S+ check(?! backup)")
    section.lines = [
        f"{line} maxconn {policy.replica_requests_max}" if served.match(line) else line for line in section.lines
    ]
    section.append(f"http-request set-priority-class int(-1) if METH_POST {{ path_end {' '.join(FINISHING)} }}")
    if any(line.startswith("timeout ") for line in section.lines):
        raise HardeningError(f"section {section.header!r} sets timeouts of its own")
    # The `backup` server stays: Serve's Python proxy holds requests while no replica is routed to, which is a
    # second whenever the only replica is rolled over; without it 661 of 9,200 requests were turned away.


_EDITORS: dict[str, Callable[[Section, HardeningPolicy], None]] = {
    "global": _harden_global,
    "defaults": _harden_defaults,
    "frontend prometheus": _harden_prometheus,
    "frontend http_frontend": _harden_public,
    _NO_MATCH: _harden_not_found,
    "listen stats": _harden_stats,
}


def _require_complete(sections: list[Section]) -> None:
    headers = [section.header for section in sections]
    for header in _EDITORS:
        if headers.count(header) != 1:
            raise HardeningError(f"expected one section {header!r}, found {headers.count(header)}")
