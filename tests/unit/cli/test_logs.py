"""With JSON logs every line that a process writes is one JSON object, whoever says it."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, threading
import structlog
from cli.logs import configure_logs

configure_logs(as_json=True)
structlog.get_logger("node").error("engine stopped", code="state.disk_full", error="磁盘满\\nno space")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
try:
    raise ValueError("several\\nlines")
except ValueError:
    logging.getLogger("asyncio").exception("a task failed")

def fail() -> None:
    raise RuntimeError("a fault")

thread = threading.Thread(target=fail, name="pruning")
thread.start()
thread.join()
logging.getLogger("library").info("not worth a line")
"""


def test_every_line_is_one_object_with_level_time_and_code() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stderr
    lines = [json.loads(line) for line in said.splitlines()]
    assert [one["event"] for one in lines] == [
        "engine stopped",
        "Invalid HTTP request received.",
        "a task failed",
        "a thread ended by a fault of the program",
    ]
    assert [one["level"] for one in lines] == ["error", "warning", "error", "error"]
    assert [one["code"] for one in lines] == [
        "state.disk_full",
        "log.library",
        "log.library",
        "log.thread_ended",
    ]
    assert all(one["timestamp"].endswith("Z") for one in lines)
    assert lines[1]["logger"] == "uvicorn.error"
    assert "several\nlines" in lines[2]["exception"]
    assert lines[3]["thread"] == "pruning"
