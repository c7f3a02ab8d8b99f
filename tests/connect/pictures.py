"""Pictures made by hand, each as small as its format lets it be, and what is none."""

import struct
import zlib


def png(width: int = 40, height: int = 20, colour: bytes = b"\xd6\x3a\x6a") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + colour * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_head(width: int, height: int) -> bytes:
    """The beginning of a picture that claims a size."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + b"\0" * 16


def jpeg(width: int = 40, height: int = 20, marker: int = 0xC0) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 9) + b"a comment"
    size = struct.pack(">HH", height, width)
    return (
        b"\xff\xd8\xff\xe0\x00\x04\x00\x00"
        + comment
        + b"\xff"
        + bytes([marker])
        + b"\x00\x0b\x08"
        + size
        + b"\x01\0\0\0"
    )


def _riff(kind: bytes, data: bytes) -> bytes:
    inner = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def webp_lossy(width: int = 40, height: int = 20) -> bytes:
    return _riff(b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0" * 8)


def webp_lossless(width: int = 40, height: int = 20) -> bytes:
    return _riff(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 8)


def webp_extended(width: int = 40, height: int = 20) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(b"VP8X", b"\x10\0\0\0" + sizes + b"\0" * 8)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
"""What may hold script."""
