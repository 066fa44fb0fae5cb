"""The status page: one HTML document without script and without anything from elsewhere.

Its only style stands in it, and the Content-Security-Policy allows exactly that by its hash. It reloads
itself; `?refresh=0` leaves it standing, for who reads it with a keyboard or a screen reader.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from network.operations.certificates import NONE, REPLACED, UNREADABLE
from network.operations.findings import FAULT
from network.operations.source import Report

REFRESH_S: Final = 10

_TEMPLATES: Final = Path(__file__).with_name("templates")
_CSS: Final = (_TEMPLATES / "status.css").read_text()
_CSS_HASH: Final = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_SECOND_NS: Final = 1_000_000_000

_UNKNOWN_CERTIFICATES: Final = (
    (NONE, "无 CA 证书", "no CA certificate"),
    (REPLACED, "已更换，期限不知", "replaced; its end is not known here"),
    (UNREADABLE, "读不出", "cannot be read"),
)

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy of the page."""


def render_page(report: Report, *, refresh: bool = True) -> str:
    """The page in HTML."""
    facts, findings = report.facts, report.findings
    faults = sum(one.level == FAULT for one in findings)
    verdict = "fault" if faults else "warning" if findings else "well"
    own_name = ""
    if facts is not None:
        own_name = next((one.organisation_name for one in facts.validators if one.is_own), "")
    return _PAGE.render(
        css=Markup(_CSS),  # noqa: S704  our own file
        facts=facts,
        findings=findings,
        faults=faults,
        verdict=verdict,
        own_name=own_name,
        unknown_certificates=_UNKNOWN_CERTIFICATES,
        stalled=any(one.code == "doctor.no_blocks" for one in findings),
        refresh=REFRESH_S if refresh else 0,
    )


def format_age(seconds: float) -> str:
    """Such as ``3.2 s``, ``4 min 10 s``, ``2 h 5 min``, ``3 d 4 h``."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 10:
        return f"{sign}{seconds:.1f} s"
    if seconds < 60:
        return f"{sign}{seconds:.0f} s"
    whole = int(seconds)
    for unit, size, below, small in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            large, rest = divmod(whole, size)
            return f"{sign}{large} {unit}" + (f" {rest // small} {below}" if rest // small else "")
    return f"{sign}{whole} s"


def format_size(size: float) -> str:
    """Such as ``1.5 GiB``."""
    sign, size = ("-", -size) if size < 0 else ("", size)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{sign}{size:.0f} {unit}" if unit == "B" else f"{sign}{size:.1f} {unit}"


def format_offset(seconds: float) -> str:
    """Of a clock, such as ``+0.25 s``."""
    return "0.00 s" if abs(seconds) < 0.005 else f"{seconds:+.2f} s"


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // _SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "age": format_age,
        "size": format_size,
        "moment": _moment,
        "offset": format_offset,
    }
    return environment


_PAGE: Final = _environment().get_template("status.html")
