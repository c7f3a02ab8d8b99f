"""A picture that somebody uploads: taken for what its first bytes say it is, and for nothing else.

No SVG: it is a document that can hold script, and everything that makes one safe has been got wrong somewhere.
"""

import hashlib
import struct
from dataclasses import dataclass

from holdfast.errors import Unprocessable

MOST_LOGO_BYTES = 200_000
"""A logo is loaded with every page that an end user sees, often on a phone."""
MOST_PIXELS = 2000
"""On a side. A few bytes of a picture can ask for gigabytes of a browser's memory."""

_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""SOF markers: frames; not the tables (C4, CC), not the reserved one (C8). ITU T.81, table B.1."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Logo:
    media_type: str
    data: bytes
    width: int
    height: int

    @property
    def digest(self) -> str:
        """Return the name that this picture and no other is served under."""
        return hashlib.sha256(self.data).hexdigest()[:32]


def read_logo(data: bytes) -> Logo:
    """Return the picture. Raises Unprocessable naming `logo` for what is none of ours, too heavy or too large."""
    if len(data) > MOST_LOGO_BYTES:
        raise _wrong(f"This picture has {len(data) // 1000} kB; at most {MOST_LOGO_BYTES // 1000} kB can be taken.")
    found = _png(data) or _webp(data) or _jpeg(data)
    if found is None:
        raise _wrong("This is not a PNG, JPEG or WebP picture.")
    media_type, width, height = found
    if not (1 <= width <= MOST_PIXELS and 1 <= height <= MOST_PIXELS):
        raise _wrong(f"This picture is {width} by {height} pixels; at most {MOST_PIXELS} on a side can be taken.")
    return Logo(media_type, data, width, height)


def _png(data: bytes) -> tuple[str, int, int] | None:
    """https://www.w3.org/TR/png-3/#5PNG-file-signature and #11IHDR, which is the first chunk."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return "image/png", width, height


def _webp(data: bytes) -> tuple[str, int, int] | None:
    """https://developers.google.com/speed/webp/docs/riff_container, RFC 9649 section 2."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        case b"VP8L" if data[20] == 0x2F:
            bits = int.from_bytes(data[21:25], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            width, height = (value & 0x3FFF for value in struct.unpack("<HH", data[26:30]))
        case _:
            return None
    return "image/webp", width, height


def _jpeg(data: bytes) -> tuple[str, int, int] | None:
    """Walk the segments to the frame's header, which has the size. ITU T.81, annex B."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return "image/jpeg", width, height
        elif marker == 0xDA:  # the picture itself begins, and no size was told
            return None
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _wrong(message: str) -> Unprocessable:
    fault = {"field": "logo", "code": "invalid", "message": message}
    return Unprocessable(message, code="invalid_logo", fields=[fault])
