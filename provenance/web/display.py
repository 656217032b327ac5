"""Text of others, made harmless to look at: the form in which a page shows it.

Escaping for HTML is the template's business. This is about what a reader would see: characters that
turn the reading direction, hide, or break a line are shown as a space or as U+FFFD, and a text of
more than 240 characters is cut. static/js/components/claims.js has the same rule (`drawn`), so that
the phone compares like with like; the raw event beside it always has the whole.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 240
_SPACES = re.compile("[\t\n\v\f\r\u0085\u2028\u2029]")
#: Controls, direction marks and overrides, and what has no width. U+200C and U+200D stay: emoji and
#: the scripts of India need them.
_HIDDEN = re.compile(
    "[\0-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb]"
)


def drawn(text: str) -> str:
    """`text` as it is shown: on one line, nothing hidden, cut with an ellipsis."""
    visible = _HIDDEN.sub("\ufffd", _SPACES.sub(" ", text[: MOST_CHARACTERS + 1]))
    return visible if len(text) <= MOST_CHARACTERS else visible[:MOST_CHARACTERS] + "…"


def spelt(text: str) -> str:
    """JSON text with its hidden characters written as escapes, which say the same in JSON."""
    return _HIDDEN.sub(
        lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text
    )
