"""Every error of the libraries is decided on, and none of them shows a secret or an address with its query."""

from __future__ import annotations

import inspect
import socket
import ssl

import google.auth.exceptions
import pytest
import requests.exceptions

from haulier.errors import AuthenticationError, CancelledError, HaulierError, NetworkError, PluginError, ValidationError
from haulier_gcs.library_errors import DECIDED_AUTH, DECIDED_REQUESTS, access_error, library_error

WHERE = "gs://recordings/clip.mp4"
SECRET = "SECRET-IN-A-QUERY"


def classes_of(module):
    return {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    }


REQUESTS, AUTH = classes_of(requests.exceptions), classes_of(google.auth.exceptions)


def test_exactly_the_classes_of_requests_are_decided_on():
    """Later versions may bring others: those go by their nearest base until somebody decides."""
    assert set(REQUESTS) == DECIDED_REQUESTS


def test_exactly_the_classes_of_google_auth_are_decided_on():
    assert set(AUTH) <= DECIDED_AUTH
    assert DECIDED_AUTH - set(AUTH) == set()


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_each_of_requests_becomes_an_error_of_ours(name, reached):
    error = REQUESTS[name].__new__(REQUESTS[name])
    Exception.__init__(error, f"https://host/upload?upload_id={SECRET}", OSError(5, "Input/output error"))
    made = library_error(error, where=WHERE, reached=reached)
    assert isinstance(made, HaulierError)
    assert made.where == WHERE
    assert SECRET not in f"{made} {made!r} {made.what} {made.advice}"


@pytest.mark.parametrize("name", sorted(AUTH))
def test_each_of_google_auth_becomes_an_error_of_ours(name):
    error = AUTH[name].__new__(AUTH[name])
    Exception.__init__(error, f"https://user:{SECRET}@host/token?{SECRET}")
    made = access_error(error, where="key.json")
    assert isinstance(made, AuthenticationError | NetworkError)
    assert SECRET not in f"{made} {made!r} {made.what} {made.advice}"


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (requests.exceptions.ConnectTimeout(), NetworkError, "no connection in time"),
        (requests.exceptions.ProxyError(), NetworkError, "proxy"),
        (requests.exceptions.ReadTimeout(), NetworkError, "nothing moved"),
        (requests.exceptions.ConnectionError(ConnectionRefusedError(111, "x")), NetworkError, "refused"),
        (requests.exceptions.ConnectionError(socket.gaierror(-2, "x")), NetworkError, "cannot be resolved"),
        (requests.exceptions.SSLError(ssl.SSLError(1, "x")), NetworkError, "TLS failed"),
        (requests.exceptions.InvalidURL(), ValidationError, "address"),
        (ConnectionResetError(104, "x"), NetworkError, "reset"),
        (UnicodeError(), ValidationError, "address"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_consequence_fits_and_the_words_say_what_happened(error, expected, words):
    made = library_error(error, where=WHERE, reached=False)
    assert type(made) is expected
    assert words in made.what


def test_a_class_that_nobody_knew_goes_by_its_base():
    class NewerError(google.auth.exceptions.RefreshError):
        pass

    NewerError.__module__ = "google.auth.exceptions"
    assert isinstance(access_error(NewerError(), where=WHERE), AuthenticationError)
    assert isinstance(access_error(RuntimeError("surprise"), where=WHERE), PluginError)


def test_an_error_of_ours_stays_itself():
    ours = CancelledError("told to stop")
    assert access_error(ours, where=WHERE) is ours
