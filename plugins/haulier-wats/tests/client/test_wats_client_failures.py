"""Every exception of requests and urllib3 becomes an error of Haulier, without the address it quotes."""

from __future__ import annotations

import http.client
import inspect
import socket
import ssl

import pytest
import requests
import urllib3

from haulier.errors import HaulierError, NetworkError, ServerError, ValidationError
from haulier_wats.failures import LIBRARY_ERRORS, root_cause, translate

WHERE = "https://storage.example/api"
URL = "https://storage.example/up?sig=abc"


def exceptions_of(module):
    return [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == module.__name__ and not issubclass(value, Warning)
    ]


def made(kind):
    """An instance without knowing its arguments, which quotes an address as the libraries' messages do."""
    error = kind.__new__(kind, URL)
    error.args = (URL,)
    return error


@pytest.mark.parametrize("kind", exceptions_of(requests.exceptions), ids=lambda kind: kind.__name__)
def test_each_exception_of_requests_is_mapped(kind):
    error = kind("Expecting value", "{", 0) if issubclass(kind, requests.exceptions.JSONDecodeError) else kind(URL)
    assert isinstance(error, LIBRARY_ERRORS)
    mapped = translate(error, where=WHERE, reached=True)
    assert isinstance(mapped, HaulierError)
    assert "sig=abc" not in str(mapped)
    assert mapped.where == WHERE


@pytest.mark.parametrize(
    "kind",
    [kind for kind in exceptions_of(urllib3.exceptions) if issubclass(kind, urllib3.exceptions.HTTPError)],
    ids=lambda kind: kind.__name__,
)
def test_each_exception_of_urllib3_is_mapped(kind):
    error = made(kind)
    assert isinstance(error, LIBRARY_ERRORS)
    mapped = translate(error, where=WHERE, reached=True)
    assert isinstance(mapped, HaulierError)
    assert "sig=abc" not in str(mapped)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (requests.exceptions.InvalidURL(URL), ValidationError),
        (requests.exceptions.InvalidSchema(URL), ValidationError),
        (requests.exceptions.MissingSchema(URL), ValidationError),
        (urllib3.exceptions.LocationParseError(URL), ValidationError),
        (requests.exceptions.TooManyRedirects(URL), ValidationError),
        (requests.exceptions.ContentDecodingError(URL), ServerError),
        (requests.exceptions.InvalidJSONError(URL), ServerError),
        (requests.exceptions.HTTPError(URL), NetworkError),
        (requests.exceptions.ChunkedEncodingError(URL), NetworkError),
        (http.client.BadStatusLine(URL), NetworkError),
        (OSError(URL), NetworkError),
    ],
)
def test_what_each_means(error, kind):
    mapped = translate(error, where=WHERE, reached=True)
    assert type(mapped) is kind
    assert "sig=abc" not in str(mapped)


def test_a_status_in_an_exception_keeps_its_meaning():
    response = requests.Response()
    response.status_code = 401
    assert translate(requests.HTTPError(response=response), where=WHERE, reached=True).code == "authentication"


@pytest.mark.parametrize(
    "error",
    [requests.exceptions.ConnectTimeout(), requests.exceptions.ProxyError(), requests.exceptions.InvalidProxyURL()],
)
def test_some_never_reach_the_server_whatever_is_said(error):
    assert not translate(error, where=WHERE, reached=True).reached


@pytest.mark.parametrize("reached", [True, False])
def test_the_rest_is_as_the_connection_was(reached):
    assert translate(requests.exceptions.SSLError(), where=WHERE, reached=reached).reached is reached
    assert translate(requests.exceptions.ConnectionError(), where=WHERE, reached=reached).reached is reached


def wrapped(root):
    """As requests hands on what urllib3 made of an error of the system."""
    try:
        try:
            raise root
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(None, f"failed: {URL}") from error
    except urllib3.exceptions.NewConnectionError as error:
        reason = urllib3.exceptions.MaxRetryError(None, URL, error)
        return requests.exceptions.ConnectionError(reason)


@pytest.mark.parametrize(
    ("root", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (ConnectionRefusedError(111, "Connection refused"), "was refused"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_the_root_is_told(root, words):
    error = wrapped(root)
    assert root_cause(error) is root
    assert words in translate(error, where=WHERE, reached=False).what


def test_an_untrusted_certificate_names_the_option_that_helps():
    root = ssl.SSLCertVerificationError(1, "certificate verify failed")
    root.verify_message = "self-signed certificate"
    mapped = translate(requests.exceptions.SSLError(root), where=WHERE, reached=False)
    assert "self-signed certificate" in mapped.what
    assert "ca_bundle" in mapped.advice


def test_an_error_raised_in_somebody_elses_handler_keeps_its_own_words():
    error = ConnectionResetError(104, "reset")
    error.__context__ = FileNotFoundError(2, "some other trouble")
    assert translate(error, where=WHERE, reached=True).what == "the connection was reset"
