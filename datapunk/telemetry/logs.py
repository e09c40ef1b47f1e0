"""Logs: one JSON object a line, with the same fields whoever wrote it, ours or a library's.

Every line has `timestamp service level message logger trace_id span_id correlation_id`; the last three are
null where nothing is known. Whatever else is passed to the logger joins them.

    log = logs.get_logger(__name__)
    with logs.context(correlation_id=envelope.correlation_id):
        log.info("command handled", type="lake.CreateDataset", version=3)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from datapunk.errors import ConfigurationError
from datapunk.settings import Settings
from datapunk.telemetry import traces

FIRST_FIELDS = ("timestamp", "service", "level", "message", "logger", "trace_id", "span_id", "correlation_id")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Libraries that tell every frame or request at `info` or below: only their warnings are news.
CHATTY_LIBRARIES = (
    "aiormq",
    "aio_pika",
    "asyncio",
    "httpcore",
    "httpx",
    "opentelemetry",
    "pika",
    "urllib3",
    "uvicorn.access",
)

_encode = msgspec.json.Encoder(enc_hook=str, decimal_format="string").encode


def configure(settings: Settings, service: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process, those of the standard library's `logging` too, to one stream.

    Args:
        settings: for `log_level`.
        service: who speaks, as in `lake.shards` or `http`.
        stream: where to; by default standard error, so that standard output stays free for data.

    Raises:
        ConfigurationError: if the level isn't one of debug, info, warning, error.
    """
    level = LEVELS.get(settings.log_level.lower())
    if level is None:
        raise ConfigurationError(f"DATAPUNK_LOG_LEVEL is {settings.log_level!r}; choose one of {', '.join(LEVELS)}")
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        _add_identity(service),
        _render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _FromStandardLibrary)]
    root.addHandler(_FromStandardLibrary())
    logging.captureWarnings(True)
    root.setLevel(level)
    for name in CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger that names itself in the field `logger`."""
    return cast(FilteringBoundLogger, structlog.get_logger(logger_name=name))


def context(**fields: object) -> AbstractContextManager[None]:
    """Add fields, such as `correlation_id`, to every line logged inside, in this task and those it starts."""
    return cast("AbstractContextManager[None]", structlog.contextvars.bound_contextvars(**fields))


def _add_identity(service: str) -> Processor:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        trace_id, span_id = traces.current_ids()
        event["service"] = service
        event["logger"] = event.pop("logger_name", None)
        event["message"] = event.pop("event", "")
        event.setdefault("trace_id", trace_id)
        event.setdefault("span_id", span_id)
        return event

    return add


def _render(logger: WrappedLogger, method: str, event: EventDict) -> str:
    ordered: dict[str, Any] = {name: event.pop(name, None) for name in FIRST_FIELDS}
    ordered.update(event)
    try:
        return _encode(ordered).decode()
    except Exception:  # a value that can't be shown must not take the process down with it
        return _encode({name: _shown(value) for name, value in ordered.items()}).decode()


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        return str(value).encode(errors="replace").decode()
    except Exception as error:
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"


class _FromStandardLibrary(logging.Handler):
    """Passes what libraries log through `logging` on to the same stream, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg!r} {record.args!r}"
        log = cast(FilteringBoundLogger, structlog.get_logger(logger_name=record.name))
        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(_nearest(record.levelno, LEVELS.values()), "%s", message, **fields)


def _nearest(level: int, known: Iterable[int]) -> int:
    """The highest known level that isn't above this one; `structlog` knows only these."""
    return max((each for each in known if each <= level), default=logging.DEBUG)
