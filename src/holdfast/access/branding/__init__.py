"""Branding: what an environment's end users see of the app: its name, logo, colour, a way home, and a language.

A Branding is checked as a whole before it is kept, with one error for each field that is wrong. A logo is a picture of
a few formats, known by its own first bytes; what its file was called or said to be counts for nothing. Colours are
judged here too, so that whatever is chosen can be read on it. Leaves drawing to the pages.
"""

from holdfast.access.branding.branding import NO_BRANDING, Branding, read_branding
from holdfast.access.branding.change import change_branding
from holdfast.access.branding.colours import Shades, shades_of
from holdfast.access.branding.logo import MOST_LOGO_BYTES, Logo, read_logo

__all__ = [
    "MOST_LOGO_BYTES",
    "NO_BRANDING",
    "Branding",
    "Logo",
    "Shades",
    "change_branding",
    "read_branding",
    "read_logo",
    "shades_of",
]
