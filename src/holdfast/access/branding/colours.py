"""An accent colour, made readable: the contrasts of WCAG 2.2 (success criteria 1.4.3 and 1.4.11), light and dark.

https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Theme = Literal["light", "dark"]
Rgb = tuple[int, int, int]

GROUNDS: dict[Theme, tuple[str, ...]] = {"light": ("#ffffff", "#f4f5f7"), "dark": ("#191d24", "#101318")}
"""The card and the page behind it, as connect.css has them."""

READABLE = 4.5
"""Between text and what it stands on."""
SEEN = 3.0
"""Between a control's outline and what is beside it."""
_NEARLY = 3.4
"""From here on, making a colour readable under white is a change that its owner hardly sees. Below, black is at 6."""
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Shades:
    """What a theme makes of an accent."""

    accent: str
    """The fill of a button: as chosen, or a shade darker where that lets white be read on it."""
    on_accent: str
    """White where it is read on the accent, else black, which then is."""
    edge: str
    """The outline of what is filled with the accent, so that a pale button on white is still seen as one."""
    link: str
    """The accent as text."""


def shades_of(accent: str, theme: Theme) -> Shades:
    grounds = GROUNDS[theme]
    towards = "#000000" if theme == "light" else "#ffffff"
    light = contrast("#ffffff", accent) >= _NEARLY
    fill = _moved(accent, "#000000", ("#ffffff",), READABLE) if light else accent
    on = "#ffffff" if light else "#000000"
    return Shades(fill, on, _moved(accent, towards, grounds, SEEN), _moved(accent, towards, grounds, READABLE))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb`, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _moved(colour: str, towards: str, grounds: Sequence[str], wanted: float) -> str:
    """Return the colour nearest to this, on the way to black or white, that stands out from all grounds."""
    start, end = _rgb(colour), _rgb(towards)
    for step in range(_STEPS):
        share = step / _STEPS
        mixed: Rgb = (
            round(start[0] + (end[0] - start[0]) * share),
            round(start[1] + (end[1] - start[1]) * share),
            round(start[2] + (end[2] - start[2]) * share),
        )
        written = "#{:02x}{:02x}{:02x}".format(*mixed)
        if all(contrast(written, ground) >= wanted for ground in grounds):
            return written
    return towards


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
