"""The server keeps what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import zlib
from importlib.resources import files

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.config import PhasesConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

DOCUMENT = str(files("haulier_wats.server").joinpath("openapi.json"))


def document(*, coverage):
    """The document; with ``coverage`` each bound and each kind of wrong value is tried as well."""
    phases = PhasesConfig()
    phases.coverage.enabled = coverage
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(phases=phases)))
    return schemathesis.openapi.from_path(DOCUMENT, config=config)


SAMPLE, ALL = document(coverage=False), document(coverage=True)
QUICK = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=150)


@schemathesis.serializer("application/partial-upload")
def bytes_as_they_are(_context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def kept(shared):
    """A recording that is only looked at."""
    return shared.store(b"0123456789", b"{}")["file_id"]


def comes_true(case, wire, kept):
    """Two of three ids that were made up become true ones, so that what is behind them is reached."""
    for name, value in (case.path_parameters or {}).items():
        if not name.endswith("_id") or zlib.crc32(repr(value).encode()) % 3 == 0:
            continue
        if name == "session_id":
            case.path_parameters[name] = wire.open(10, 2)["session_id"]
        else:
            case.path_parameters[name] = wire.store()["file_id"] if case.method == "DELETE" else kept


DOWNLOADS = {"getContent", "headContent", "getMetadata", "headMetadata"}
MORE_THAN_SHAPE = {"createSession", "append", "uploadEitherFile", *DOWNLOADS}
"""Operations whose values have to fit each other, the upload or the file as well, which no schema can say."""

BYTES = {"uploadEitherFile", "uploadFile", "append"}
"""Operations whose bodies are bytes: none of them is of a wrong type."""


def unfounded(case):
    """Checks whose premise does not hold for a case."""
    operation = case.operation.definition.raw["operationId"]
    wrong = {place for place, part in case.meta.components.items() if part.mode is GenerationMode.NEGATIVE}
    # Only a cursor that the server gave is one.
    if wrong or operation in MORE_THAN_SHAPE or "cursor" in (case.query or {}):
        yield positive_data_acceptance
    # A wrong header may be one too many, or the token's, which is sent all the same.
    if operation in BYTES or ParameterLocation.HEADER in wrong:
        yield negative_data_rejection


def holds(case, wire, kept, token):
    comes_true(case, wire, kept)
    case.call_and_validate(
        base_url=wire.base,
        headers={"Authorization": f"Bearer {token}"},
        excluded_checks=list(unfounded(case)),
        timeout=30,
    )


@SAMPLE.parametrize()
@QUICK
def test_every_answer_is_one_that_the_document_names(case, shared, kept, token):
    holds(case, shared, kept, token)


@pytest.mark.full
@ALL.parametrize()
@LONG
def test_every_answer_is_one_that_the_document_names_at_length(case, shared, kept, token):
    holds(case, shared, kept, token)
