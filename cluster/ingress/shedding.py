"""Refusing at the ingress what a replica would refuse: while replicas refuse a kind of one key's requests in numbers.

A refusal costs a replica as much as an echo; here it costs a fraction. Replicas decide: they mark each refusal for
load, and HAProxy counts the marks by key and kind of work. Above `REFUSALS_MAX` within `WINDOW_MS` it answers itself,
with the Retry-After that a replica gave last, until the count has run down, within a window. So replicas always see
enough of the load to let in what they can: they have a second's work waiting, many times what passes in a window.

Other keys, and more important work of the same key, are counted apart and pass. Standard library only: the launcher
loads this file in a bare interpreter.
"""

from __future__ import annotations

from cluster.ingress.answers import TOO_MUCH

MARK_HEADER = "X-EasyPay-Shed"
TABLE = "easypay_shed"
WINDOW_MS = 200
REFUSALS_MAX = 20
# 20 bytes of hash and the counters: 100,000 keys are some 15 MB, and idle ones go after ten seconds.
_KEYS_MAX = 100_000
# Money that was accepted is brought to its end before new is taken (serve_app/admission/work.py).
FINISHING = ("/capture", "/void", "/refunds")
_LISTS = ("/payments", "/refunds", "/audit_log", "/timeline", "/events")


def table_section() -> tuple[str, list[str]]:
    """Return the header and the lines of the section that holds the counts."""
    store = f"store gpc0,gpc0_rate({WINDOW_MS}ms),gpt0"
    return f"backend {TABLE}", [f"stick-table type binary len 20 size {_KEYS_MAX} expire 10s {store}"]


def frontend_rules() -> list[str]:
    """Return the rules that count and refuse, for behind those that give the request its id."""
    return [
        "http-request set-var(txn.work) str(create)",
        "http-request set-var(txn.work) str(read) if METH_GET",
        f"http-request set-var(txn.work) str(list) if METH_GET {{ path_end {' '.join(_LISTS)} }}",
        f"http-request set-var(txn.work) str(finish) if METH_POST {{ path_end {' '.join(FINISHING)} }}",
        # A hash, so that no key lies in a table that the admin socket shows.
        f"http-request track-sc0 req.hdr(authorization),concat(:,txn.work),sha1 table {TABLE}"
        " if { req.hdr(authorization) -m found }",
        f"http-request return status 503 {TOO_MUCH.reply()} if {{ sc0_gpc0_rate({TABLE}) gt {REFUSALS_MAX} }}",
        f"acl marked res.hdr({MARK_HEADER}) -m found",
        "http-response sc-set-gpt0(0) res.hdr_val(retry-after) if marked",
        "http-response sc-inc-gpc0(0) if marked",
        f"http-response del-header {MARK_HEADER}",
    ]
