"""Screenshots made small: at most 256 colours and one byte to a pixel, as PNG (W3C PNG, third edition)."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {2: 3, 6: 4}


def smaller(png: bytes) -> bytes:
    """Return a Chromium screenshot (8 bits a channel, not interlaced) with a palette of its 256 most frequent colours,
    each other colour taken for its nearest. Transparency is dropped. Raises ValueError for another kind of PNG."""
    width, height, pixels = _decode(png)
    tally = Counter(pixels)
    palette = [colour for colour, _ in tally.most_common(256)]
    index = {colour: number for number, colour in enumerate(palette)}
    for colour in tally:
        if colour not in index:
            index[colour] = min(range(len(palette)), key=lambda number: _distance(palette[number], colour))
    rows = (
        b"\0" + bytes(index[pixel] for pixel in pixels[start : start + width])
        for start in range(0, width * height, width)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(b"".join(rows), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _decode(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and the pixels, each three bytes of red, green and blue."""
    parts = dict[bytes, bytes]()
    for kind, data in _chunks(png):
        parts[kind] = parts.get(kind, b"") + data
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if depth != 8 or colour not in _CHANNELS or interlaced:
        raise ValueError("not a screenshot as Chromium takes them")
    step = _CHANNELS[colour]
    raw, size = zlib.decompress(parts[b"IDAT"]), width * step
    above, pixels = bytearray(size), list[bytes]()
    for start in range(0, len(raw), size + 1):
        line = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + size]), above, step)
        pixels += [bytes(line[at : at + 3]) for at in range(0, size, step)]
        above = line
    return width, height, pixels


def _unfiltered(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    for at in range(len(line)):
        left = line[at - step] if at >= step else 0
        up, corner = above[at], above[at - step] if at >= step else 0
        if kind == 1:
            line[at] = (line[at] + left) & 255
        elif kind == 2:
            line[at] = (line[at] + up) & 255
        elif kind == 3:
            line[at] = (line[at] + (left + up) // 2) & 255
        elif kind == 4:
            guess = left + up - corner
            near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
            line[at] = (line[at] + near[2]) & 255
    return line


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
