"""Evidence into a verdict: the verifier, which can be lifted out and audited alone.

It imports ``provenance.domain``, ``provenance.crypto``, ``merkle`` and ``qr``, and nothing else of
ours. Its twin in the browser is ``static/js/verify/``; docs/formats.md is the text that both
follow.
"""

from provenance.verify.bundle import MAX_AGE, verify_bundle
from provenance.verify.forks import Known, parse_known
from provenance.verify.verdict import (
    AnchorView,
    Check,
    LogView,
    Record,
    Signer,
    Stage,
    Verdict,
    VerdictWarning,
)

__all__ = [
    "MAX_AGE",
    "AnchorView",
    "Check",
    "Known",
    "LogView",
    "Record",
    "Signer",
    "Stage",
    "Verdict",
    "VerdictWarning",
    "parse_known",
    "verify_bundle",
]
