"""Line charts as SVG: small enough to sit in a page that loads nothing, readable on a phone and in the dark.

Colours are the page's (`--c0`, `--c1`, …); each chart is drawn 340 wide, so a phone shows it at about its own
size and a desk puts three beside each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 340, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 20, 10, 28


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, its colour's number, its points (x > 0, y ≥ 0)."""

    name: str
    colour: int
    points: Sequence[tuple[float, float]]


def line_chart(
    lines: Sequence[Line], unit: str, *, limit: float | None = None, log_y: bool = False
) -> Markup:
    """The lines over a logarithmic x axis; `limit` is a dashed line, what must be reached or kept below."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points] + ([limit] if limit is not None else [])
    to_x = _logarithmic(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    ticks = _decades(min(ys), max(ys)) if log_y else _steps(max(ys))
    bottom, top = _HEIGHT - _BOTTOM, _TOP
    to_y = _logarithmic(ticks[0], ticks[-1], bottom, top) if log_y else _linear(0, ticks[-1], bottom, top)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for tick in ticks:
        y = to_y(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in _marks(min(xs), max(xs)):
        x = to_x(tick)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{short(tick)}</text>')
    if limit is not None:
        parts.append(f'<path class="limit" d="M{_LEFT} {to_y(limit):.1f}H{_WIDTH - _RIGHT}"/>')
    for line in lines:
        path = "L".join(f"{to_x(x):.1f} {to_y(y):.1f}" for x, y in line.points)
        parts.append(f'<path class="line" style="stroke:var(--c{line.colour})" d="M{path}"/>')
        for x, y in line.points:
            title = escape(f"{line.name}: {x:,.0f} → {y:,.4g} {unit}")
            parts.append(
                f'<circle cx="{to_x(x):.1f}" cy="{to_y(y):.1f}" r="3.5" style="fill:var(--c{line.colour})">'
                f"<title>{title}</title></circle>"
            )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - names are escaped above, the rest are numbers


def short(value: float) -> str:
    """A number for an axis: 1.2k, 3M; small ones as they are."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / ((high - low) or 1.0) * (end - start)


def _logarithmic(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    straight = _linear(math.log10(low), math.log10(high), start, end)
    return lambda value: straight(math.log10(value))


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _marks(low: float, high: float) -> list[float]:
    """Decades from `low` to `high`; both ends where there are no two of them."""
    inside = [tick for tick in _decades(low, high) if low * 0.999 <= tick <= high * 1.001]
    return inside if len(inside) > 1 else sorted({low, high})


def _steps(highest: float) -> list[float]:
    """0 and up to five round steps that cover `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [step * i for i in range(math.ceil(highest / step - 1e-9) + 1)]
