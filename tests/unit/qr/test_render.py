"""Symbols, read back by a decoder that is not ours (zxing-cpp)."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from qr import render
from qr.errors import RenderError

LINKS = [
    "https://example.com/01/09521234543213",
    "https://example.com/01/09521234543213/21/S1",
    "https://example.com/01/09521234543213/10/LOT-7/21/%2F%25",
    "HTTPS://EXAMPLE.COM/01/09521234543213",
    "https://id.gs1.org/00/106141412345678908",
    "https://id.gs1.org/8003/00614141123452400",
    "https://example.com/" + "x" * 400,
    "追溯 ✓",
]


def decode(image: Image.Image) -> zxingcpp.Barcode:
    [found] = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return found


def picture(rows: list[list[bool]], scale: int = 4) -> Image.Image:
    image = Image.new("L", (len(rows[0]), len(rows)))
    image.putdata([0 if dark else 255 for row in rows for dark in row])
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def rows_of_svg(svg: str) -> list[list[bool]]:
    """The SVG drawn by a reader written for this test: background, then bars one module high."""
    root = ET.fromstring(svg)  # noqa: S314 - our own output
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    rows = [[False] * width for _ in range(height)]
    [path] = root.iter("{http://www.w3.org/2000/svg}path")
    commands = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path.attrib["d"])
    assert "".join(f"M{x} {y}h{n}v1h-{m}z" for x, y, n, m in commands) == path.attrib["d"]
    for x, y, length, back in commands:
        assert length == back
        for place in range(int(x), int(x) + int(length)):
            rows[int(y)][place] = True
    return rows


def rows_of_terminal(text: str) -> list[list[bool]]:
    rows = []
    for line in text.splitlines():
        match = re.fullmatch("\x1b\\[38;5;16;48;5;231m([ ▀▄█]+)\x1b\\[0m", line)
        assert match, ascii(line)
        rows.append([character in "▀█" for character in match[1]])
        rows.append([character in "▄█" for character in match[1]])
    return rows


@pytest.mark.parametrize("text", LINKS)
def test_png_is_read_back_at_level_m(text: str) -> None:
    data = render.png(text)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found = decode(Image.open(io.BytesIO(data)))
    assert found.text == text
    assert found.ec_level == "M"


@pytest.mark.parametrize("text", LINKS)
def test_svg_and_terminal_are_the_same_symbol_and_are_read_back(text: str) -> None:
    rows = render.matrix(text)
    assert rows_of_svg(render.svg(text)) == rows
    drawn = rows_of_terminal(render.terminal(text))
    assert drawn[: len(rows)] == rows
    assert not any(any(row) for row in drawn[len(rows) :])
    assert decode(picture(drawn)).text == text
    assert decode(picture(rows_of_svg(render.svg(text)))).text == text


@given(st.text("abcXYZ019-._~:/?#@!$&'()*+,;=%", min_size=1, max_size=120))
@settings(max_examples=15)
def test_any_link_text_is_read_back(text: str) -> None:
    assert decode(picture(render.matrix(text))).text == text


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_quiet_zone_is_four_white_modules_on_every_side(scale: int) -> None:
    image = Image.open(io.BytesIO(render.png(LINKS[1], scale=scale))).convert("L")
    size = len(render.matrix(LINKS[1]))
    assert image.size == (size * scale, size * scale)
    inverted = image.point(lambda level: 255 - level)
    border = render.QUIET_ZONE * scale
    assert render.QUIET_ZONE == 4
    assert inverted.getbbox() == (border, border, image.width - border, image.height - border)


def test_versions_are_those_of_the_label_tables() -> None:
    # 66 characters take version 5 at level M as bytes; runs of digits bring it down to version 4:
    # 33 modules and the quiet zone, 16.2 mm at 0.396 mm a module.
    text = "https://id.example.com/01/09521234543213/10/ABC123/21/SERIAL-00001"
    assert len(text) == 66
    assert len(render.matrix(text)) == 33 + 8
    svg = render.svg(text, module_mm=0.396)
    assert 'width="16.236mm" height="16.236mm"' in svg
    assert "mm" not in render.svg(text).partition("<title>")[0]


def test_svg_is_accessible_and_safe() -> None:
    svg = render.svg("https://example.com/?a=1&b=<2>")
    root = ET.fromstring(svg)  # noqa: S314 - our own output
    assert root.attrib["role"] == "img"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "https://example.com/?a=1&b=<2>"
    titled = render.svg("x", title='Code for "A & B" <i>')
    title = ET.fromstring(titled).findtext("{http://www.w3.org/2000/svg}title")  # noqa: S314
    assert title == 'Code for "A & B" <i>'
    assert not re.search(r"<(script|style|image)|\bon[a-z]+=|style=", svg)


def test_svg_is_compact() -> None:
    assert len(render.svg(LINKS[1])) < 4_000


@pytest.mark.parametrize("text", ["", "x" * 2_332, "é" * 1_200, "\ud800"])
def test_text_that_no_symbol_holds(text: str) -> None:
    for draw in (render.png, render.svg, render.terminal):
        with pytest.raises(RenderError, match="no symbol can hold this text"):
            draw(text)


def test_the_longest_text() -> None:
    assert len(render.matrix("x" * 2_331)) == 177 + 8


@pytest.mark.parametrize("scale", [0, -1, 65])
def test_scale_limits(scale: int) -> None:
    with pytest.raises(RenderError, match="pixels a module"):
        render.png("x", scale=scale)
