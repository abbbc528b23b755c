"""The files of the page, and the policy that it is under."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files

import brotli
import pytest

from serve_app.console.assets import PATH, Assets
from serve_app.console.documents import Documents
from serve_app.http.response import Response
from serve_app.problems import Code, Problem

_ASSETS = Assets()
_BROWSER = [(b"accept-encoding", b"gzip, deflate, br, zstd")]
_DOCUMENTS = Documents(_ASSETS)
_PAGES = {
    "console": _DOCUMENTS.console(),
    "sign_in": _DOCUMENTS.sign_in(Problem(Code.AUTHENTICATION_REQUIRED, "No key.")),
}


def _answer(name: str, headers: list[tuple[bytes, bytes]], version: str = _ASSETS.version) -> Response:
    answer = _ASSETS.answer(version, name, headers)
    assert answer is not None
    return answer


def test_browsers_keep_a_file_for_good() -> None:
    """Under the version that they asked for; while versions change nothing is kept of the other."""
    assert dict(_answer("console.js", []).headers)[b"cache-control"] == b"public, max-age=31536000, immutable"
    assert dict(_answer("console.js", [], "0" * 16).headers)[b"cache-control"] == b"no-store"


def test_a_file_is_not_sent_twice() -> None:
    """Whoever has it is told that it has it, by the tag of its coding."""
    first = _answer("console.js", _BROWSER)
    tag = dict(first.headers)[b"etag"]
    again = _answer("console.js", [*_BROWSER, (b"if-none-match", b'"x", ' + tag)])
    assert (again.status, again.body, dict(again.headers)[b"etag"]) == (304, b"", tag)
    assert _answer("console.js", [(b"if-none-match", tag)]).status == 200


@pytest.mark.parametrize(
    ("accepted", "decode"), [(b"br", brotli.decompress), (b"gzip", gzip.decompress), (b"identity", bytes)]
)
def test_it_is_compressed_as_the_client_likes(accepted: bytes, decode: object) -> None:
    """And is the same file."""
    answer = _answer("uPlot.iife.min.js", [(b"accept-encoding", accepted)])
    plain = (files("serve_app.console") / "assets" / "vendor" / "uPlot.iife.min.js").read_bytes()
    assert callable(decode)
    assert decode(answer.body) == plain
    assert dict(answer.headers).get(b"content-encoding") == (None if accepted == b"identity" else accepted)
    assert (len(answer.body) < len(plain) / 2) is (accepted != b"identity")


def test_what_is_no_file_is_not_there() -> None:
    """Nor are the pages, or anything outside of the folder."""
    for name in ("nothing.js", "console.html", "../console.py", ".."):
        assert _ASSETS.answer(_ASSETS.version, name, []) is None


def test_the_licence_comes_with_what_is_vendored() -> None:
    """As it demands."""
    assert b"MIT License" in _answer("uPlot.LICENSE.txt", []).body


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_names_files_that_there_are(name: str) -> None:
    """And nothing from elsewhere; every script that a script imports is there, too."""
    page = _PAGES[name].body.decode()
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(links) > 2
    for link in links:
        prefix, _, file = link.rpartition("/")
        assert prefix == f"{PATH}/{_ASSETS.version}"
        text = _answer(file, []).body.decode()
        for imported in re.findall(r'from "\./([^"]+)"', text):
            _answer(imported, [])
            assert f"/{imported}" in page, "it would be found out about late"


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_runs_nothing_but_its_files(name: str) -> None:
    """No script, style or handler stands in it, and the policy forbids them, forms and frames."""
    page, headers = _PAGES[name].body.decode(), dict(_PAGES[name].headers)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", page)
    policy = headers[b"content-security-policy"].decode()
    assert "unsafe" not in policy
    for directive in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'"):
        assert directive in policy.split("; ")
    assert headers[b"cache-control"] == b"no-store"


def test_scripts_make_no_markup_of_text() -> None:
    """What merchants and endpoints write is shown as it is."""
    for entry in (files("serve_app.console") / "assets").iterdir():
        if entry.name.endswith(".js"):
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", entry.read_text())


def test_where_one_signs_in_says_what_is_wrong() -> None:
    """Unless that is only that nobody is signed in; the browser's own form stays away."""
    away = _DOCUMENTS.sign_in(Problem(Code.OVERLOADED, "Redis <is> away.", retry_after_s=2))
    assert away.status == 503
    assert b"Redis &lt;is&gt; away." in away.body
    assert (b"retry-after", b"2") in away.headers
    challenge = ((b"www-authenticate", b"Bearer"), (b"set-cookie", b"a=; Max-Age=0"))
    plain = _DOCUMENTS.sign_in(Problem(Code.AUTHENTICATION_REQUIRED, "No key.", headers=challenge))
    assert plain.status == 401
    assert b"No key." not in plain.body
    names = [name for name, _ in plain.headers]
    assert b"www-authenticate" not in names
    assert (names.count(b"content-type"), b"set-cookie" in names) == (1, True)
