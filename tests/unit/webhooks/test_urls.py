"""A URL is taken in one strict form, and only where it leads to the public internet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from serve_app.webhooks.urls import UrlRefused, checked_host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com/", "example.com"),
        ("https://Example.COM:8443/a/b?c=d&e=%20", "example.com"),
        ("https://example.com./hooks", "example.com"),
        ("https://xn--bcher-kva.example.com/", "xn--bcher-kva.example.com"),
        ("https://example.com/a@b:c", "example.com"),
        ("https://example.com?to=http://127.0.0.1/", "example.com"),
        ("https://127.0.0.1.nip.io/", "127.0.0.1.nip.io"),
        ("https://8.8.8.8/hooks", ip_address("8.8.8.8")),
        ("https://[2606:4700:4700::1111]/hooks", ip_address("2606:4700:4700::1111")),
    ],
)
def test_a_public_url_is_taken(url: str, host: object) -> None:
    """What its name leads to is checked when it is resolved."""
    assert checked_host(url, allow_loopback=False) == host


@pytest.mark.parametrize(
    "url",
    [
        # Other schemes, and what is no URL.
        "http://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
        "example.com", "https:example.com", "https:/example.com", "https://", "https:///hooks", "", " https://a.example",
        # Addresses of this network, in the way everybody writes them.
        "https://127.0.0.1/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://0.0.0.0/",
        "https://169.254.169.254/latest/meta-data/", "https://100.100.100.200/", "https://168.63.129.16/",
        "https://192.0.0.192/", "https://224.0.0.1/", "https://255.255.255.255/", "https://127.0.0.1./",
        # And in those that some resolvers read as one: decimal, hexadecimal, octal, shortened.
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/",
        "https://127.1/", "https://127.0.1/", "https://0/", "https://0x/", "https://127.0.0.0x1/", "https://1.2.3.08/",
        "https://3232235777/", "https://192.168.0x1.1/", "https://00127.0.0.1/", "https://127.0.0.1.1/",
        # IPv6: loopback, private, link-local, and IPv4 inside.
        "https://[::1]/", "https://[::]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/",
        "https://[ff02::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
        "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b:1::1]/",
        "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::1]/", "https://[2001:0:7f00:1::]/", "https://[2001:db8::1]/",
        "https://[2606:4700::5efe:127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[::1", "https://[1::2::3]/",
        "https://[0:0:0:0:0:ffff:127.0.0.1]/",
        # Names of this network.
        "https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/", "https://postgres/",
        "https://metadata.google.internal/", "https://printer.local/", "https://nas.lan/", "https://a.intranet/",
        "https://router.home.arpa/",
        # Tricks with what stands beside the host.
        "https://example.com@127.0.0.1/", "https://user:secret@example.com/", "https://127.0.0.1#@example.com/",
        "https://example.com\\@127.0.0.1/", "https://127.0.0.1\\.example.com/", "https://example.com#fragment",
        "https://example.com%2f@127.0.0.1/", "https://127.0.0.1%00.example.com/", "https://example.com\r\nhost: a/",
        "https://exam\tple.com/", "https://example.com/a b", "https://example.com:0/", "https://example.com:65536/",
        "https://example.com:", "https://example.com:80:80/", "https://example.com:-1/",
        # Characters that are turned into others: full-width digits, circled digits, ideographic full stops.
        "https://１２７.0.0.1/", "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://ⓛocalhost/", "https://bücher.example/",
        # Names that are none.
        "https://example..com/", "https://.example.com/", "https://example.com../", "https://-a.example/", "https://a-.example/",
        "https://a_b.example/", "https://" + "a" * 64 + ".example/", "https://" + "a." * 127 + "example/",
        "https://example.com/" + "a" * 2048,
    ],
)  # fmt: skip
def test_a_url_that_may_lead_elsewhere_is_refused(url: str) -> None:
    """With a reason that does not repeat it."""
    with pytest.raises(UrlRefused) as refused:
        checked_host(url, allow_loopback=False)
    assert str(refused.value).startswith("must ")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/hooks", "http://localhost:9000/", "https://[::1]/", "http://example.com/"]
)
def test_development_may_use_this_machine(url: str) -> None:
    """And plain HTTP."""
    assert checked_host(url, allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "http://169.254.169.254/", "http://2130706433/", "http://[fd00::1]/", "http://postgres/",
     "http://0.0.0.0/", "http://[::]/", "http://[64:ff9b::127.0.0.1]/"],
)  # fmt: skip
def test_development_may_use_nothing_else(url: str) -> None:
    """The rest of the network is as closed as ever."""
    with pytest.raises(UrlRefused):
        checked_host(url, allow_loopback=True)
