"""The Core Business Vocabulary's words, in our own table (compared with GS1's in conformance)."""

from __future__ import annotations

import pytest

from provenance.domain import vocabulary
from provenance.domain.vocabulary import is_misspelt_word


def test_numbers_of_words() -> None:
    assert len(vocabulary.BIZ_STEPS) == 41
    assert len(vocabulary.DISPOSITIONS) == 33
    assert len(vocabulary.MEASUREMENT_TYPES) == 72
    assert len(vocabulary.BIZ_TRANSACTION_TYPES) == 13
    assert {"owning_party", "possessing_party", "location"} == vocabulary.SOURCE_DESTINATION_TYPES
    assert {"did_not_occur", "incorrect_data"} == vocabulary.ERROR_REASONS
    assert {"ALARM_CONDITION", "ERROR_CONDITION"} == vocabulary.SENSOR_ALERTS
    assert {"ADD", "OBSERVE", "DELETE"} == vocabulary.ACTIONS


@pytest.mark.parametrize(
    ("text", "misspelt"),
    [
        ("cbv:BizStep-shipping", False),
        ("https://ref.gs1.org/cbv/BizStep-shipping", False),
        ("http://ref.gs1.org/cbv/BizStep-shipping", False),
        ("cbv:BizStep-shiping", True),
        ("https://ref.gs1.org/cbv/Disp-shipped", True),
        ("https://ref.gs1.org/cbv/", True),
        ("https://example.org/BizStep-shiping", False),  # somebody's own word
        ("example:BizStep-shiping", False),
    ],
)
def test_long_forms(text: str, misspelt: bool) -> None:
    assert is_misspelt_word(text, "BizStep-", vocabulary.BIZ_STEPS) is misspelt
