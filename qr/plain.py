"""Identifiers that are good at sight: what nearly every event is about, judged in a microsecond.

    https://id.gs1.org/01/09521234999997/21/A1     a head that repeats, and a plain serial
    urn:epc:id:gdti:9521234.00002.B7               the same

The head (key, check digit, name of the qualifier) is judged once, by the general functions
themselves, and remembered; the tail is of letters, digits, ``.``, ``_`` and ``-``, which every one
of these qualifiers takes and no escape changes. Whatever else there is gets None here: that is no
refusal, only "ask :mod:`qr.identifier`". A property test holds both to one answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from qr.errors import QrError
from qr.identifier import canonical_identifier, check_identifier

# AI 21 and 10 take up to 20 characters, 253 up to 17, 8003 up to 16 (GS1 General Specifications,
# section 3): 16 are good in all of them.
_PLAIN: Final = re.compile(
    r"(https://id\.gs1\.org/01/[0-9]{14}/(?:21|10)/"
    r"|urn:epc:(?:id:(?:sgtin|gdti|grai)|class:lgtin):[0-9]{6,12}\.[0-9]{0,7}\.)"
    r"([A-Za-z0-9._-]{1,16})"
)
_SAMPLE: Final = "0"


def find_plain(text: str) -> str | None:
    """The canonical identifier of `text` if it is plain and good by all rules of its key."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    head = _canonical_head(match[1])
    return None if head is None else head + match[2]


# A head is a product, a document type or an asset type: a partner has some thousands.
@lru_cache(maxsize=16_384)
def _canonical_head(head: str) -> str | None:
    try:
        check_identifier(head + _SAMPLE)
        return canonical_identifier(head + _SAMPLE).removesuffix(_SAMPLE)
    except QrError:
        return None
