import io
import json

import httpx
import pytest
from fastapi import FastAPI, Request

from datapunk.errors import ConnectionLost, UndecodableMessage
from datapunk.http import problems
from datapunk.http.middleware import BodyLimited, Observed
from datapunk.settings import Settings
from datapunk.telemetry import logs, metrics

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def log_stream():
    stream = io.StringIO()
    logs.configure(Settings(), "http", stream)
    return stream


@pytest.fixture
def lines(log_stream):
    return lambda: [json.loads(line) for line in log_stream.getvalue().splitlines()]


@pytest.fixture
async def http(log_stream):
    app = FastAPI()

    @app.post("/length/{name}")
    async def length(name: str, request: Request) -> int:
        return len(await request.body())

    @app.get("/broken")
    async def broken():
        raise ZeroDivisionError("secret inside")

    @app.get("/away")
    async def away():
        raise ConnectionLost("the broker can't be reached")

    @app.get("/wrong")
    async def wrong(number: int):
        raise UndecodableMessage("not Avro")

    problems.install(app)
    app.add_middleware(BodyLimited, limit=1000)
    app.add_middleware(Observed, service="test")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_body_up_to_the_limit_passes(http):
    assert (await http.post("/length/x", content=b"x" * 1000)).json() == 1000


async def test_a_longer_one_is_refused_with_a_problem(http):
    answer = await http.post("/length/x", content=b"x" * 1001)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() | {"detail": ""} == {
        "type": "urn:datapunk:problem:oversized",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "",
        "code": "oversized",
    }


async def test_one_whose_length_was_not_announced_is_refused_too(http):
    async def chunks():
        for _ in range(20):
            yield b"x" * 100

    answer = await http.post("/length/x", content=chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "oversized")


async def test_an_error_of_ours_is_a_500_that_tells_nothing_inward(http, lines):
    answer = await http.get("/broken", headers={"Correlation-Id": "c-7"})
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert answer.headers["correlation-id"] == "c-7"
    (failure,) = [line for line in lines() if line["level"] == "error"]
    assert "ZeroDivisionError: secret inside" in failure["exception"]
    assert failure["correlation_id"] == "c-7"


async def test_a_server_that_is_away_is_a_503_with_retry_after(http):
    answer = await http.get("/away")
    assert (answer.status_code, answer.json()["code"]) == (503, "connection_lost")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/wrong?number=1", 400, "undecodable"),
        ("GET", "/wrong?number=x", 400, "invalid_request"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/length/x", 405, "method_not_allowed"),
    ],
)
async def test_every_error_is_a_problem(http, method, path, status, code):
    answer = await http.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert answer.json()["detail"]


async def test_a_request_is_counted_by_its_route_and_logged_by_its_path(http, lines):
    await http.post("/length/abc", content=b"xy", headers={"traceparent": TRACEPARENT})
    exposed = metrics.exposition().decode()
    assert 'request_duration_seconds_count{endpoint="/length/{name}",service="test",status="200"}' in exposed
    assert "/length/abc" not in exposed
    (line,) = [line for line in lines() if line["message"] == "request"]
    assert (line["path"], line["status"], line["method"]) == ("/length/abc", 200, "POST")
    assert line["correlation_id"]
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_unknown_paths_share_one_label(http):
    await http.get("/nowhere/1")
    assert "/nowhere" not in metrics.exposition().decode()


async def test_a_correlation_id_is_made_where_none_is_given_or_it_is_unfit(http):
    given = (await http.get("/away", headers={"X-Request-Id": "r-1"})).headers["correlation-id"]
    made = (await http.get("/away")).headers["correlation-id"]
    replaced = (await http.get("/away", headers={"Correlation-Id": "x" * 500})).headers["correlation-id"]
    assert given == "r-1"
    assert len(made) == len(replaced) == 36


async def test_an_error_in_the_middle_of_an_answer_is_logged_and_ends_it(lines, log_stream):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def send(message):
        sent.append(message["type"])

    await Observed(app)({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)
    assert sent == ["http.response.start"]
    assert [line["message"] for line in lines() if line["level"] == "error"] == ["request failed"]
