"""The shared HTTP status mapping: each status leads to the consequence that fits it."""

from __future__ import annotations

import pytest

from haulier.backends.http_errors import clean_reason, error_for_status, parse_retry_after, public_url
from haulier.errors import NetworkError, SessionLostError, ThrottledError

WHERE = "https://storage.example/api/uploads"
NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "authentication"),
        (403, "permission_denied"),
        (404, "validation"),
        (410, "validation"),
        (408, "server"),
        (423, "server"),
        (425, "server"),
        (500, "server"),
        (502, "server"),
        (503, "server"),
        (599, "server"),
        (429, "throttled"),
        (409, "conflict"),
        (412, "conflict"),
        (413, "quota"),
        (507, "quota"),
        (301, "validation"),
        (302, "validation"),
        (308, "validation"),
        (400, "validation"),
        (422, "validation"),
        (451, "validation"),
        (407, "network"),
        (104, "server"),
        (204, "server"),
    ],
)
def test_each_status_has_its_consequence(status, code):
    error = error_for_status(status, where=WHERE, reason="because")
    assert error.code == code
    assert error.where == WHERE
    assert str(status) in error.what
    assert error.what.endswith("because")


def test_every_status_gives_an_error():
    for status in range(100, 1000):
        assert error_for_status(status, where=WHERE).what


def test_503_with_a_time_is_throttling():
    error = error_for_status(503, where=WHERE, retry_after=7.0)
    assert isinstance(error, ThrottledError)
    assert error.retry_after == 7.0


def test_429_without_a_time_is_throttling_too():
    error = error_for_status(429, where=WHERE)
    assert isinstance(error, ThrottledError)
    assert error.retry_after is None


@pytest.mark.parametrize("status", [404, 410])
def test_the_caller_decides_what_gone_means(status):
    assert isinstance(error_for_status(status, where=WHERE, gone=SessionLostError), SessionLostError)


def test_the_caller_decides_what_a_conflict_means():
    assert isinstance(error_for_status(409, where=WHERE, conflict=SessionLostError), SessionLostError)


def test_a_redirect_says_that_redirects_are_refused():
    assert "redirects are refused" in str(error_for_status(302, where=WHERE))


def test_a_proxy_that_wants_credentials_charges_no_item():
    error = error_for_status(407, where=WHERE)
    assert isinstance(error, NetworkError)
    assert not error.reached


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 -0000", 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 5000, None),
        ("Sun, 99 Nov 1994 08:49:47 GMT", None),
        ("x" * 1000, None),
        ("²", None),
    ],
)
def test_retry_after(text, seconds):
    assert parse_retry_after(text, NOW) == seconds


def test_a_reason_becomes_one_clean_line():
    assert clean_reason("disk\r\n\x1b[31m full\u202e\x00 . ") == "disk [31m full"


def test_a_long_reason_is_cut():
    reason = clean_reason("é" * 10_000_000)
    assert len(reason) == 500
    assert reason.endswith("…")


def test_invariant_10_a_reason_never_quotes_credentials():
    text = "token t0p-s3cret bad at https://me:pass@store.example/a?sig=abc#frag, ask again"
    assert clean_reason(text, redact=["t0p-s3cret", ""]) == "token *** bad at https://store.example/a ask again"


def test_an_error_cleans_the_reason_itself():
    assert "sig=abc" not in str(error_for_status(400, where=WHERE, reason="see https://store.example/a?sig=abc"))


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://me:pass@store.example:8443/up/1?sig=abc#x", "https://store.example:8443/up/1"),
        ("http://[::1]:80/x?y", "http://[::1]:80/x"),
        ("http://host:99999999/x", "an address that cannot be read"),
        ("https://store.example", "https://store.example"),
    ],
)
def test_a_public_url_grants_nothing(url, public):
    assert public_url(url) == public
