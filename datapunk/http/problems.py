"""Errors as callers of the HTTP API meet them: problem details (RFC 9457), `application/problem+json`.

Every problem has `type`, `title`, `status`, `detail` and `code`; the code is the same that replies, logs and
dead letters carry. Some have more, such as `similar` (names perhaps meant) or a rejection's `details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import psycopg_pool
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from datapunk import errors
from datapunk.telemetry import logs, metrics

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:datapunk:problem:"
RETRY_AFTER_S = 2  # what we ask of a caller while a server is away

# By the nearest class among an error's ancestors.
STATUS_OF: dict[type[Exception], int] = {
    errors.UnknownMessageType: 404,
    errors.UnsupportedContentType: 415,
    errors.OversizedMessage: 413,
    errors.UndecodableMessage: 400,
    errors.UnencodableMessage: 500,
    errors.UnknownSchema: 400,
    errors.InvalidEnvelope: 400,
    errors.MessageError: 422,
    errors.QueryFailed: 422,
    errors.ReplyTimeout: 504,
    errors.BrokerError: 503,
    errors.StoreError: 503,
    errors.DatapunkError: 500,
    psycopg.OperationalError: 503,
    psycopg_pool.PoolTimeout: 503,
}

# By the code of what a query is answered with instead of an answer; else it's the query's fault.
STATUS_OF_QUERY = {errors.ReplyTimeout.code: 504, errors.TooManyWaiting.code: 503}

log = logs.get_logger(__name__)


class Problem(Exception):  # that's what the standard calls it
    """An error with a status of its own.

    Args:
        status: of the HTTP response.
        code: stable and machine-readable.
        detail: what happened here, for a person.
        headers: to add to the response.
        members: to add to the body.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> Response:
        """The response that tells it."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.members,
        }
        headers = dict(self.headers)
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", str(RETRY_AFTER_S))
        return Response(msgspec.json.encode(body), self.status, headers, CONTENT_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to the caller; what isn't known is a 500 that tells nothing inward."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.QueryFailed):
        return Problem(STATUS_OF_QUERY.get(error.error_code, 422), error.error_code, str(error))
    for ancestor in type(error).__mro__:
        status = STATUS_OF.get(ancestor)
        if status is None:
            continue
        if isinstance(error, errors.DatapunkError):
            return Problem(status, error.code, str(error))
        return Problem(status, errors.DatabaseAway.code, "the database can't be reached; try again")
    detail = "something went wrong here; the log has it under this correlation id"
    return Problem(500, errors.InternalError.code, detail)


def install(app: FastAPI) -> None:
    """Make the app answer every error with a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        metrics.ERRORS.labels("http", problem.code).inc()
        if problem.status >= 500:
            log.warning("request failed", code=problem.code, error=f"{type(error).__name__}: {error}")
        return problem.response()

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        detail = f"nothing is at {request.url.path}" if error.status_code == 404 else f"{error.detail}"
        if error.status_code == 405:
            detail = f"{request.method} isn't possible at {request.url.path}"
        code = phrase.lower().replace(" ", "_")
        metrics.ERRORS.labels("http", code).inc()
        return Problem(error.status_code, code, detail, headers=error.headers).response()

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        places = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        metrics.ERRORS.labels("http", "invalid_request").inc()
        return Problem(400, "invalid_request", "; ".join(places)).response()

    for kind in (Problem, errors.DatapunkError, psycopg.OperationalError, psycopg_pool.PoolTimeout):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
