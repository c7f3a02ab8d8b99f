"""Charts as SVG, drawn on the server (pure). What they show stands in a table beside them too."""

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 6, 10, 24
_INNER_WIDTH, _INNER_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
GRID_LINES = 4
MOST_LABELS = 6

Series = tuple[str, str, Sequence[float | None]]
"""What it is called, the class it is drawn with (`bar`, `bar bad`; `curve`, `curve second`), and its values."""


def bars(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return bars, one stacked on the other, one stack to a label."""
    stacks = [sum(values[place] or 0 for _, _, values in series) for place in range(len(labels))]
    top = nice(max(stacks, default=0))
    step = _INNER_WIDTH / max(1, len(labels))
    width = max(1.0, step * 0.72)
    parts: list[str] = []
    for place, label in enumerate(labels):
        below = 0.0
        x = _LEFT + place * step + (step - width) / 2
        for name, kind, values in series:
            value = values[place] or 0
            if not value:
                continue
            height = value / top * _INNER_HEIGHT
            y = _TOP + _INNER_HEIGHT - below - height
            told = escape(f"{label}: {_figure(value)} {name}")
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5">'
                f"<title>{told}</title></rect>"
            )
            below += height
    return _chart(title, labels, top, parts, step)


def curves(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return a curve for each series; where a value is missing it is broken."""
    known = [value for _, _, values in series for value in values if value is not None]
    top = nice(max(known, default=0))
    step = _INNER_WIDTH / max(1, len(labels))
    parts: list[str] = []
    for name, kind, values in series:
        path, drawing = [], False
        for place, value in enumerate(values):
            if value is None:
                drawing = False
                continue
            x, y = _LEFT + (place + 0.5) * step, _TOP + _INNER_HEIGHT * (1 - value / top)
            path.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}")
            told = escape(f"{labels[place]}: {_figure(value)} {name}")
            parts.append(f'<circle class="{kind} dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{told}</title></circle>')
            drawing = True
        if path:
            parts.insert(0, f'<path class="{kind}" d="{"".join(path)}"/>')
    return _chart(title, labels, top, parts, step)


def nice(most: float) -> float:
    """Return the end of an axis: the least of 1, 2, 4, 8, 10 times a power of ten that is not below; 4 for nothing."""
    if most <= 4:
        return 4.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * factor for factor in (1, 2, 4, 8, 10, 20) if power * factor >= most)


def _chart(title: str, labels: Sequence[str], top: float, parts: Sequence[str], step: float) -> Markup:
    lines = []
    for number in range(GRID_LINES + 1):
        y = _TOP + _INNER_HEIGHT * (1 - number / GRID_LINES)
        lines.append(f'<line class="grid-line" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        value = _figure(top * number / GRID_LINES)
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    every = max(1, math.ceil(len(labels) / MOST_LABELS))
    for place in range(0, len(labels), every):
        x = _LEFT + (place + 0.5) * step
        anchor = "start" if place == 0 else "middle"
        x = _LEFT if place == 0 else x
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{escape(labels[place])}</text>')
    return Markup(  # noqa: S704  (numbers, our own words, and what was escaped above)
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(lines)}{''.join(parts)}</svg>"
    )


def _figure(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
