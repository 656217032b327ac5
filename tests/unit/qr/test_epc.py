"""EPC URNs of every scheme, and what is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qr import digital_link, escapes
from qr.epc import is_epc_urn, to_digital_link
from qr.errors import IdentifierError, UnknownSchemeError
from qr.gs1 import check_digit

# One example a scheme; check digits by hand. The first eight are of the CBV 2.0 text.
EXAMPLES = {
    "urn:epc:id:sgtin:0614141.112345.400": "/01/10614141123459/21/400",
    "urn:epc:class:lgtin:4012345.012345.998877": "/01/04012345123456/10/998877",
    "urn:epc:idpat:sgtin:4012345.012345.*": "/01/04012345123456",
    "urn:epc:id:sscc:0614141.1234567890": "/00/106141412345678908",
    "urn:epc:id:sgln:0614141.12345.400": "/414/0614141123452/254/400",
    "urn:epc:id:grai:0614141.12345.400": "/8003/00614141123452400",
    "urn:epc:id:giai:0614141.12345400": "/8004/061414112345400",
    "urn:epc:id:gdti:0614141.12345.400": "/253/0614141123452400",
    "urn:epc:id:pgln:0614141.12345": "/417/0614141123452",
    "urn:epc:id:gsrn:0614141.1234567890": "/8018/061414112345678902",
    "urn:epc:id:gsrnp:0614141.1234567890": "/8017/061414112345678902",
    "urn:epc:id:cpi:0614141.123ABC.123456789": "/8010/0614141123ABC/8011/123456789",
    "urn:epc:id:ginc:0614141.xyz3311cba": "/401/0614141xyz3311cba",
    "urn:epc:id:gsin:0614141.123456789": "/402/06141411234567890",
    "urn:epc:id:itip:4012345.012345.01.02.987": "/8006/040123451234560102/21/987",
    "urn:epc:id:upui:1234567.089456.51qI": "/01/01234567894560/235/51qI",
    "urn:epc:id:sgcn:4012345.67890.04711": "/255/401234567890104711",
}


@pytest.mark.parametrize("urn", EXAMPLES)
def test_examples(urn: str) -> None:
    assert is_epc_urn(urn)
    assert to_digital_link(urn) == "https://id.gs1.org" + EXAMPLES[urn]


@pytest.mark.parametrize("urn", EXAMPLES)
def test_the_result_is_a_strict_digital_link(urn: str) -> None:
    assert digital_link.parse(to_digital_link(urn)).canonical() == to_digital_link(urn)


@pytest.mark.parametrize(
    "urn", [urn for urn in EXAMPLES if "giai" not in urn and "ginc" not in urn]
)
@pytest.mark.parametrize("change", ["part missing", "digit missing", "letter in the prefix"])
def test_each_scheme_refuses_what_is_not_its_form(urn: str, change: str) -> None:
    head, _, body = urn.rpartition(":")
    parts = body.split(".")
    if change == "part missing":
        parts.pop()
    elif change == "digit missing":
        parts[0] = parts[0][:-1] if "cpi" not in urn else parts[0][:5]
    else:
        parts[0] = "X" + parts[0][1:]
    with pytest.raises(IdentifierError) as caught:
        to_digital_link(f"{head}:{'.'.join(parts)}")
    assert not isinstance(caught.value, UnknownSchemeError)
    assert caught.value.ai is not None
    assert "company prefix" in caught.value.expected


@pytest.mark.parametrize(
    "text", ["urn:epc:id:gid:1.2.3", "urn:epc:tag:sgtin-96:1.2.3", "https://id.gs1.org/01/1", ""]
)
def test_what_has_no_digital_link(text: str) -> None:
    with pytest.raises(UnknownSchemeError):
        to_digital_link(text)


SERIALS = st.text("abcXYZ019!\"%&'()*+,-./:;<=>?_", min_size=1, max_size=20)


@given(st.integers(6, 12), st.text("0123456789", min_size=13, max_size=13), SERIALS)
def test_every_prefix_length_gives_the_same_gtin(length: int, digits: str, serial: str) -> None:
    """The prefix's length is lost on the way, so all cuts of one GTIN name one thing."""
    indicator, rest = digits[0], digits[1:]
    urn = f"urn:epc:id:sgtin:{rest[:length]}.{indicator}{rest[length:]}.{escapes.encode(serial)}"
    link = digital_link.parse(to_digital_link(urn))
    assert link.key == ("01", digits + check_digit(digits))
    assert link.qualifiers == (("21", serial),)
