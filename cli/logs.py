"""Structured logs: lines for a terminal or one JSON object a line; no secrets, no personal data.

With JSON everything that a process says is such a line, also what the libraries say through Python's own
logging and what ends a thread: with `event`, `level`, `timestamp`, and for faults a `code`.
"""

from __future__ import annotations

import logging
import sys
import threading

import structlog

_CODE_OF_LIBRARIES = "log.library"
_CODE_OF_THREADS = "log.thread_ended"


def configure_logs(*, as_json: bool) -> None:
    """Set up the loggers of one process; everything goes to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer(colors=False)]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Whatever standard error is when something is said, not what it was when this ran.
        logger_factory=lambda *names: structlog.PrintLogger(sys.stderr),
    )
    if as_json:
        _relay_libraries(shared, last)
        threading.excepthook = _tell_of_thread
    else:
        logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def _relay_libraries(
    shared: list[structlog.typing.Processor], last: list[structlog.typing.Processor]
) -> None:
    """What Python's own logging carries, in the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, _add_code],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _add_code(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["code"] = _CODE_OF_LIBRARIES
    return event


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is None:
        return
    structlog.get_logger("process").error(
        "a thread ended by a fault of the program",
        code=_CODE_OF_THREADS,
        thread=None if ended.thread is None else ended.thread.name,
        exc_info=ended.exc_value,
    )
