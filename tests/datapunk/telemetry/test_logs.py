import io
import json
import logging
import subprocess
import sys

import pytest

from datapunk.errors import ConfigurationError
from datapunk.settings import Settings
from datapunk.telemetry import logs, traces

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def stream():
    stream = io.StringIO()
    logs.configure(Settings(), "lake.shards", stream)
    return stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_has_the_required_fields_in_order(stream):
    logs.get_logger("datapunk.shard").info("batch done", commands=3)

    (line,) = lines(stream)
    assert list(line) == [*logs.FIRST_FIELDS, "commands"]
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "service": "lake.shards",
        "level": "info",
        "message": "batch done",
        "logger": "datapunk.shard",
        "trace_id": None,
        "span_id": None,
        "correlation_id": None,
        "commands": 3,
    }
    assert line["timestamp"].endswith("Z")


def test_the_current_trace_and_the_correlation_id_are_in_every_line(stream):
    with logs.context(correlation_id="c-1"), traces.span("handle", parent=TRACEPARENT):
        logs.get_logger("here").info("inside")
    logs.get_logger("here").info("outside")

    inside, outside = lines(stream)
    assert inside["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert inside["span_id"] == "b7ad6b7169203331"
    assert inside["correlation_id"] == "c-1"
    assert outside["trace_id"] is None
    assert outside["correlation_id"] is None


def test_what_libraries_log_takes_the_same_form(stream):
    logging.getLogger("some.library").warning("%d of %s", 3, "five")

    (line,) = lines(stream)
    assert (line["message"], line["level"], line["logger"]) == ("3 of five", "warning", "some.library")


def test_a_warning_of_a_library_is_a_line_too():
    code = (
        "import warnings; from datapunk.settings import Settings; from datapunk.telemetry import logs\n"
        "logs.configure(Settings(), 'x'); warnings.warn('old ways', UserWarning)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    line = json.loads(answer.stderr)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "UserWarning: old ways" in line["message"]


def test_a_percent_sign_in_a_message_is_only_a_percent_sign(stream):
    logging.getLogger("some.library").warning("100% done")
    logs.get_logger("here").info("100% done")

    assert [line["message"] for line in lines(stream)] == ["100% done", "100% done"]


def test_chatty_libraries_are_heard_from_warnings_on(stream):
    logging.getLogger("aiormq.connection").info("connected")
    logging.getLogger("aiormq.connection").warning("blocked")

    assert [line["message"] for line in lines(stream)] == ["blocked"]


def test_an_exception_is_told_with_its_traceback(stream):
    try:
        raise ValueError("no good")
    except ValueError:
        logs.get_logger("here").exception("it failed")

    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["exception"].splitlines()[-1] == "ValueError: no good"


def test_lines_below_the_level_are_not_written():
    stream = io.StringIO()
    logs.configure(Settings(log_level="warning"), "x", stream)
    logs.get_logger("here").info("quiet")
    logs.get_logger("here").warning("loud")

    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_a_value_that_is_not_json_does_not_stop_the_log(stream):
    class Unshowable:
        def __str__(self):
            raise RuntimeError("never")

    logs.get_logger("here").info("odd", value=Unshowable(), text="\ud800", when=io)

    (line,) = lines(stream)
    assert line["message"] == "odd"
    assert "can't be shown" in line["value"]
    assert line["text"] == "?"


def test_a_wrong_level_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="DATAPUNK_LOG_LEVEL is 'loud'"):
        logs.configure(Settings(log_level="loud"), "x")
