"""Every error of the SDK is decided on, and none of them shows a secret or an address with its query."""

from __future__ import annotations

import inspect

import botocore.exceptions
import pytest

from haulier.errors import (
    AuthenticationError,
    CancelledError,
    HaulierError,
    NetworkError,
    PluginError,
    ServerError,
    ValidationError,
)
from haulier_s3.failures import translate
from haulier_s3.library_errors import DECIDED

WHERE = "s3://recordings/clip.mp4"
CLASSES = {
    name: kind
    for name, kind in vars(botocore.exceptions).items()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == "botocore.exceptions"
}
SECRET = "AKIA-SECRET-IN-A-QUERY"


def test_exactly_the_classes_of_the_library_are_decided_on():
    """Later versions may bring others: those go by their nearest base until somebody decides."""
    assert set(CLASSES) <= DECIDED
    assert not [name for name in DECIDED - set(CLASSES) if not name.startswith("Login")]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_becomes_an_error_of_ours(name):
    kind = CLASSES[name]
    error = kind.__new__(kind)
    Exception.__init__(error, f"https://user:{SECRET}@host/key?X-Amz-Signature={SECRET}")
    error.kwargs = {"error": OSError(5, "Input/output error"), "endpoint_url": f"https://host?{SECRET}"}
    made = translate(error, where=WHERE)
    assert isinstance(made, HaulierError)
    assert made.where == WHERE
    assert SECRET not in f"{made} {made!r} {made.what} {made.advice}"


@pytest.mark.parametrize(
    ("name", "expected", "reached"),
    [
        ("EndpointConnectionError", NetworkError, False),
        ("ConnectTimeoutError", NetworkError, False),
        ("SSLError", NetworkError, False),
        ("ProxyConnectionError", NetworkError, False),
        ("ConnectionClosedError", NetworkError, True),
        ("ReadTimeoutError", NetworkError, True),
        ("IncompleteReadError", NetworkError, True),
        ("HTTPClientError", NetworkError, True),
        ("NoCredentialsError", AuthenticationError, None),
        ("CredentialRetrievalError", AuthenticationError, None),
        ("ProfileNotFound", AuthenticationError, None),
        ("UnauthorizedSSOTokenError", AuthenticationError, None),
        ("FlexibleChecksumError", ServerError, None),
        ("ParamValidationError", ValidationError, None),
        ("UnknownServiceError", PluginError, None),
    ],
)
def test_the_consequence_fits(name, expected, reached):
    kind = CLASSES[name]
    made = translate(kind.__new__(kind), where=WHERE)
    assert type(made) is expected
    if reached is not None:
        assert made.reached is reached


def test_a_class_that_nobody_knew_goes_by_its_base():
    class NewerError(botocore.exceptions.ReadTimeoutError):
        pass

    assert isinstance(translate(NewerError(endpoint_url="https://host"), where=WHERE), NetworkError)
    assert isinstance(translate(RuntimeError("surprise"), where=WHERE), PluginError)


def test_an_error_of_ours_that_came_out_of_a_body_stays_itself():
    ours = CancelledError("told to stop")
    assert translate(botocore.exceptions.HTTPClientError(error=ours), where=WHERE) is ours
