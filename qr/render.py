"""QR symbols as SVG, PNG and terminal text. The only module that imports `qrcode`.

Error correction M and a quiet zone of 4 modules on every side (GS1 General Specifications, symbols
at the point of sale; ISO/IEC 18004), never less. What the text means is not looked at here. Sizes:
a module is a square of the symbol; version 1 has 21 a side, version 40 has 177.
"""

from __future__ import annotations

import io
from itertools import groupby
from xml.sax.saxutils import escape

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.exceptions import DataOverflowError
from qrcode.image.pure import PyPNGImage

from qr.errors import RenderError

QUIET_ZONE = 4
DEFAULT_SCALE = 8
MAX_SCALE = 64
MAX_BYTES = 2_331  # version 40 at level M, byte mode (ISO/IEC 18004 table 7)

# Colours by number in the 256-colour palette, which terminal themes leave alone: 16 is black,
# 231 white. So the symbol is dark on light whatever the terminal's own colours are.
_INK = "\x1b[38;5;16;48;5;231m"
_RESET = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}

Matrix = list[list[bool]]


def matrix(text: str) -> Matrix:
    """The symbol with its quiet zone, row by row, True for a dark module.

    Raises :class:`RenderError` if `text` is empty or too long for any symbol.
    """
    modules: Matrix = _make(text, 1).get_matrix()
    return modules


def svg(text: str, *, title: str | None = None, module_mm: float | None = None) -> str:
    """The symbol as one SVG element; a unit of the viewBox is a module.

    The dark modules are one path of rectangles, a run of modules each. `title` is what a screen
    reader says (the text itself unless given). `module_mm` fixes the printed size of a module (at
    the point of sale 0.396 to 0.990); without it the page decides.
    """
    rows = matrix(text)
    size = len(rows)
    path = "".join(_runs(y, row) for y, row in enumerate(rows))
    name = escape(title if title is not None else text)
    side = (
        f'width="{module_mm * size:.3f}mm" height="{module_mm * size:.3f}mm" ' if module_mm else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" {side}'
        f'role="img" shape-rendering="crispEdges"><title>{name}</title>'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path fill="#000" d="{path}"/></svg>'
    )


def png(text: str, *, scale: int = DEFAULT_SCALE) -> bytes:
    """The symbol as a black and white PNG, `scale` pixels a module (1 to 64)."""
    if not 1 <= scale <= MAX_SCALE:
        raise RenderError(
            "no such picture size",
            expected=f"1 to {MAX_SCALE} pixels a module",
            found=str(scale),
            remedy="choose a scale within the limits",
        )
    stream = io.BytesIO()
    _make(text, scale).make_image(image_factory=PyPNGImage).save(stream)
    return stream.getvalue()


def terminal(text: str) -> str:
    """The symbol for a terminal with colours: two rows of modules a line, in half blocks.

    Black on white is set by escape sequences, so it can be read on dark and light terminals.
    """
    rows = matrix(text)
    # A symbol has an odd number of rows (17 + 4 a version): one more row of quiet zone.
    rows.append([False] * len(rows))
    lines = (
        _INK + "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) + _RESET
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
    return "".join(line + "\n" for line in lines)


def _make(text: str, scale: int) -> qrcode.QRCode[PyPNGImage]:
    if not text or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise _unfit(text)
    symbol = qrcode.QRCode(error_correction=ERROR_CORRECT_M, box_size=scale, border=QUIET_ZONE)
    try:
        symbol.add_data(text)
        symbol.make(fit=True)
    except (DataOverflowError, ValueError) as error:
        raise _unfit(text) from error
    return symbol


def _unfit(text: str) -> RenderError:
    return RenderError(
        "no symbol can hold this text",
        expected=f"1 to {MAX_BYTES} bytes of UTF-8",
        found=f"{len(text)} characters",
        remedy="use a shorter link",
    )


def _runs(y: int, row: list[bool]) -> str:
    """The dark runs of one row as path commands: move there, draw a bar one module high."""
    commands, x = [], 0
    for dark, modules in groupby(row):
        length = len(list(modules))
        if dark:
            commands.append(f"M{x} {y}h{length}v1h-{length}z")
        x += length
    return "".join(commands)
