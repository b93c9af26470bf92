"""The error classes: their codes, and both ways between them and Haulier's."""

from __future__ import annotations

import pytest

from haulier import errors as core
from haulier.backends.http_errors import error_for_status
from haulier_wats.compat import (
    ApiError,
    AuthenticationError,
    NetworkError,
    ServerError,
    UploadError,
    ValidationError,
)
from haulier_wats.compat.translation import to_api_error, to_core_error

CODES = {AuthenticationError: 401, NetworkError: 0, ServerError: 500, ValidationError: 400, UploadError: 422}


def test_each_class_has_its_code_and_message():
    for error_class, code in CODES.items():
        error = error_class("what happened")
        assert isinstance(error, ApiError)
        assert (error.message, error.status_code, str(error)) == ("what happened", code, "what happened")
        assert error_class.__init__.__defaults__
    assert (ApiError("Test error", 500).message, ApiError("Test error", 500).status_code) == ("Test error", 500)
    assert ApiError("x").status_code is None
    assert ServerError("x", 503).status_code == 503


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        (400, ValidationError, 400),
        (401, AuthenticationError, 401),
        (403, AuthenticationError, 403),
        (404, ValidationError, 404),
        (409, UploadError, 422),
        (413, ValidationError, 413),
        (422, ValidationError, 422),
        (429, ServerError, 429),
        (500, ServerError, 500),
        (502, ServerError, 502),
        (503, ServerError, 503),
        (504, ServerError, 504),
        (507, ServerError, 507),
    ],
)
def test_statuses_become_the_class_that_the_manual_names(status, expected, code):
    original = error_for_status(status, where="https://storage.example", reason="why")
    error = to_api_error(original)
    assert type(error) is expected
    assert error.status_code == code
    assert "why" in error.message
    assert to_core_error(error) is original


def test_every_error_of_the_core_has_a_counterpart():
    for error_class in core.error_classes().values():
        error = to_api_error(error_class("what", where="here"))
        assert isinstance(error, ApiError)
        assert error.message.startswith("here: what")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AuthenticationError(), core.AuthenticationError),
        (AuthenticationError("no", 403), core.PermissionDeniedError),
        (NetworkError(), core.NetworkError),
        (ServerError(), core.ServerError),
        (ServerError("later", 429), core.ThrottledError),
        (ServerError("full", 507), core.QuotaError),
        (ValidationError("large", 413), core.QuotaError),
        (ValidationError(), core.ValidationError),
        (UploadError(), core.TransferError),
        (ApiError("x"), core.HaulierError),
    ],
)
def test_and_back_to_the_one_with_the_same_consequence(error, expected):
    made = to_core_error(error)
    assert type(made) is expected
    assert made.what == error.message
    assert made.__cause__ is error
