"""What an administrator may choose for their end users: judged before it is kept."""

import colorsys
import random

import pytest

from holdfast.access.branding import MOST_LOGO_BYTES, Branding, read_branding, read_logo, shades_of
from holdfast.access.branding.colours import GROUNDS, contrast
from holdfast.errors import Unprocessable
from tests.connect import pictures

GOOD = {"name": "Northwind", "accent": "#1b5bd7", "home_url": "https://app.example.com/home", "language": "de"}


def _read(*, dev: bool = False, **given: str) -> Branding:
    return read_branding(**{**GOOD, **given}, languages=("en", "de"), dev=dev)


def test_what_fits_is_kept_and_a_colour_has_one_spelling() -> None:
    assert _read(accent="D63") == Branding("Northwind", "#dd6633", "https://app.example.com/home", "de")
    assert _read(name="", accent="", home_url="", language="") == Branding()
    assert _read(home_url="http://localhost:3000", dev=True).home_url == "http://localhost:3000"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("accent", text) for text in ("red", "#12345", "#1b5bd7;", "#1b5bd7\n", "url(x)", "#１２３４５６")],
        *[("name", text) for text in ("x" * 61, "Acme\u202eevil", "Acme\u200b", "a\x00b", "two\nlines")],
        *[
            ("home_url", text)
            for text in (
                *(
                    "javascript:alert(1)",
                    "http://app.example.com",
                    "//app.example.com",
                    "/path",
                    "https://",
                    "https://a b",
                ),
                *(
                    "data:text/html,x",
                    "https://user@app.example.com",
                    "https://app.example.com:x",
                    "HTTPS:app",
                    "https://é.example",
                ),
                *('https://a.example/"><b>', "http://localhost:3000", "https://a.example/" + "x" * 2000),
            )
        ],
        *[("language", text) for text in ("fr", "../en", "EN")],
    ],
)
def test_what_does_not_fit_is_told_beside_its_field(field: str, value: str) -> None:
    with pytest.raises(Unprocessable) as told:
        _read(**{field: value})
    assert [fault["field"] for fault in told.value.fields] == [field]


def test_every_field_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Unprocessable) as told:
        _read(name="x" * 61, accent="red", home_url="x", language="x")
    assert [fault["field"] for fault in told.value.fields] == ["name", "accent", "home_url", "language"]


@pytest.mark.parametrize(
    ("made", "media_type"),
    [
        (pictures.png, "image/png"),
        (pictures.jpeg, "image/jpeg"),
        (lambda w, h: pictures.jpeg(w, h, marker=0xC2), "image/jpeg"),
        (pictures.webp_lossy, "image/webp"),
        (pictures.webp_lossless, "image/webp"),
        (pictures.webp_extended, "image/webp"),
    ],
)
def test_a_picture_is_known_by_its_own_bytes(made: object, media_type: str) -> None:
    logo = read_logo(made(123, 45))  # type: ignore[operator]
    assert (logo.media_type, logo.width, logo.height) == (media_type, 123, 45)
    with pytest.raises(Unprocessable, match="2000 on a side"):
        read_logo(made(2001, 10))  # type: ignore[operator]


@pytest.mark.parametrize(
    "data",
    [
        *(
            pictures.SVG,
            b"\xef\xbb\xbf" + pictures.SVG,
            b"<!doctype html><script>1</script>",
            b"",
            b"GIF89a" + b"\0" * 40,
        ),
        *(
            b"%PDF-1.7",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xda" + b"\0" * 40,
            b"RIFF\0\0\0\0WEBPVP8 ",
        ),
        *(b"RIFF" + b"\0" * 60, pictures.png()[:20], b"\xff\xd8\xff" + b"\xff" * 60),
    ],
)
def test_what_is_no_picture_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(Unprocessable, match="not a PNG, JPEG or WebP") as told:
        read_logo(data)
    assert told.value.fields[0]["field"] == "logo"


def test_a_heavy_picture_is_refused_and_so_is_one_that_claims_a_sea_of_pixels() -> None:
    with pytest.raises(Unprocessable, match="200 kB"):
        read_logo(pictures.png() + b"\0" * MOST_LOGO_BYTES)
    with pytest.raises(Unprocessable, match="2000 on a side"):
        read_logo(pictures.png_head(60_000, 60_000))


def test_no_bytes_break_the_reading_of_a_picture() -> None:
    chance = random.Random(29)
    for made in (pictures.png, pictures.jpeg, pictures.webp_lossy, pictures.webp_lossless, pictures.webp_extended):
        for _ in range(300):
            data = bytearray(made())
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            try:
                logo = read_logo(bytes(data[: chance.randrange(len(data) + 1)]))
            except Unprocessable:
                continue
            assert 1 <= logo.width <= 2000
            assert 1 <= logo.height <= 2000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_whatever_colour_is_chosen_can_be_read(theme: str) -> None:
    tones = (0.0, 0.2, 0.45, 0.7, 1.0)
    for hue in range(0, 360, 15):
        for lightness in tones:
            for saturation in tones:
                parts = colorsys.hls_to_rgb(hue / 360, lightness, saturation)
                shades = shades_of("#{:02x}{:02x}{:02x}".format(*(round(part * 255) for part in parts)), theme)  # type: ignore[arg-type]
                assert contrast(shades.on_accent, shades.accent) >= 4.5
                for ground in GROUNDS[theme]:  # type: ignore[index]
                    assert contrast(shades.link, ground) >= 4.5
                    assert contrast(shades.edge, ground) >= 3


def test_a_colour_that_is_fine_is_left_alone() -> None:
    shades = shades_of("#1b5bd7", "light")
    assert (shades.accent, shades.on_accent, shades.edge, shades.link) == ("#1b5bd7", "#ffffff", "#1b5bd7", "#1b5bd7")
    assert shades_of("#ffd400", "light").on_accent == "#000000"


def test_contrasts_are_those_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey that just fails
