"""Every exception of the SDK is decided, and no text of it is taken over."""

from __future__ import annotations

import inspect
import logging

import azure.core.exceptions
import azure.identity
import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from haulier.errors import (
    AuthenticationError,
    CancelledError,
    ConflictError,
    NetworkError,
    PermissionDeniedError,
    QuotaError,
    ServerError,
    ThrottledError,
    ValidationError,
)
from haulier_azure.failures import code_of, status_of, translate
from haulier_azure.library_errors import DECIDED
from haulier_azure.quiet import hide_signatures

ADDRESS = "https://a.blob.core.windows.net/c/b?comp=block&sig=SECRET%3D"


class Answer:
    """As much of an answer as the SDK's exceptions want."""

    def __init__(self, status, code="", headers=None):
        self.status_code, self.reason = status, f"because of {ADDRESS}"
        self.headers = {**({"x-ms-error-code": code} if code else {}), **(headers or {})}

    def text(self):
        return ADDRESS


def refused(status, code="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return translate(HttpResponseError(message=ADDRESS, response=Answer(status, code, named)), where="there")


def classes(module):
    found = inspect.getmembers(module, lambda each: inspect.isclass(each) and issubclass(each, Exception))
    return {name for name, each in found if each.__module__.startswith("azure.")}


def test_every_exception_of_the_sdk_is_decided():
    assert classes(azure.core.exceptions) | classes(azure.identity) <= DECIDED


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "NoAuthenticationInformation", AuthenticationError),
        (403, "AuthenticationFailed", AuthenticationError),
        (403, "AuthorizationPermissionMismatch", PermissionDeniedError),
        (403, "", PermissionDeniedError),
        (404, "ContainerNotFound", ValidationError),
        (408, "", ServerError),
        (409, "BlobAlreadyExists", ConflictError),
        (409, "BlobImmutableDueToPolicy", PermissionDeniedError),
        (409, "ContainerBeingDeleted", ServerError),
        (412, "ConditionNotMet", ConflictError),
        (412, "LeaseIdMissing", ConflictError),
        (413, "RequestBodyTooLarge", QuotaError),
        (429, "", ThrottledError),
        (500, "InternalError", ServerError),
        (500, "OperationTimedOut", ServerError),
        (503, "ServerBusy", ThrottledError),
        (502, "", ServerError),
    ],
)
def test_an_answer_becomes_the_error_whose_consequence_fits(status, code, kind):
    error = refused(status, code)
    assert type(error) is kind
    assert (status_of(error), code_of(error)) == (status, code)
    assert "SECRET" not in f"{error} {error.__cause__!r}"


def test_the_service_s_wait_is_kept():
    assert refused(503, "ServerBusy", Retry_After="17").retry_after == 17
    assert refused(429, Retry_After="3").retry_after == 3


@pytest.mark.parametrize(
    ("error", "reached"), [(ServiceRequestError(ADDRESS), False), (ServiceResponseError(ADDRESS), True)]
)
def test_no_answer_says_whether_anybody_was_reached(error, reached):
    made = translate(error, where="there")
    assert isinstance(made, NetworkError)
    assert made.reached is reached
    assert "SECRET" not in f"{made} {made.__cause__!r}"


def test_an_error_of_ours_that_a_body_raised_comes_back_as_it_is():
    ours = CancelledError("told to stop")
    assert translate(ServiceRequestError("wrapped", error=ours), where="there") is ours
    assert translate(ours, where="there") is ours


def test_what_the_http_library_logs_shows_no_signature(caplog):
    hide_signatures()
    hide_signatures()
    with caplog.at_level(logging.DEBUG, logger="urllib3.connectionpool"):
        logging.getLogger("urllib3.connectionpool").debug('"%s %s"', "PUT", "/c/b?sp=rw&sig=SECRET%3D&comp=block")
    assert "SECRET" not in caplog.text
    assert "comp=block" in caplog.text
