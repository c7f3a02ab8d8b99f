"""A form that holds a file, read."""

import random

import pytest

from holdfast.dashboard.uploads import is_multipart, read_multipart
from holdfast.errors import Invalid


def _body(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(b"--bound\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
        + b"--bound--\r\n"
    )


def test_a_files_bytes_come_through_as_they_are() -> None:
    chance = random.Random(7)
    kind = "multipart/form-data; boundary=bound"
    assert is_multipart(kind)
    for _ in range(500):
        data = bytes(chance.choice((10, 13, 0, 45, 0x1C, 0x85, 255, chance.randrange(256))) for _ in range(80))
        head = 'Content-Disposition: form-data; name="logo"; filename="a.png"\r\nContent-Type: image/png'
        text = ('Content-Disposition: form-data; name="name"', "Zoë".encode())
        assert read_multipart(kind, _body((head, data), text)) == {"logo": data, "name": "Zoë"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"--bound\r\n",
        _body(("Content-Disposition: form-data", b"x")),
        _body(("Content-Disposition: form-data; name*", b"x")),
        _body(('Content-Disposition: form-data; name="x"', b"\xff")),
        _body(*[('Content-Disposition: form-data; name="x"', b"x")] * 30),
        b"".join(
            f'--b{n}\r\nContent-Type: multipart/mixed; boundary="b{n + 1}"\r\n\r\n'.encode() for n in range(5000)
        ).replace(b"--b0\r\n", b"--bound\r\n"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read_multipart("multipart/form-data; boundary=bound", body)
    with pytest.raises(Invalid):
        read_multipart("multipart/form-data", body)
    with pytest.raises(Invalid):
        read_multipart("multipart/form-data; boundary=b\r\nx: y", body)
