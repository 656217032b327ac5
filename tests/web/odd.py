"""A story with everything odd that the event model lets a party sign, for looking at its page.

Item 1: text with markup, direction overrides, controls and great length, an unknown step, a place
and a party named in one language that is neither of ours, a tiny number. Item 2: 120 stages and no
product name.
"""

from __future__ import annotations

from typing import Any

from tests.support.builders import CONTEXT, complete, item_event, item_uri
from tests.web.site import Site

SCRIPT = "<script>alert(1)</script>"
OVERRIDE = "\u202egnp.evil\u202c"
LONG = "长" * 12_000
TRADE: dict[str, Any] = {"@context": [*CONTEXT, {"trade": "https://trade.example/"}]}
ODD = "/01/09506000134352/21/1"
LONG_STORY = "/01/09506000134352/21/2"


def tell_odd_story(site: Site) -> None:
    """Sign, submit and publish it."""
    liar = site.register("https://liar.example/", name={"de": f"{OVERRIDE}{SCRIPT}"})
    at = site.platform.clock() - 10_000_000
    ilmd = {
        "trade:productName": {"en": f"Milk{OVERRIDE}\r\n\x07{SCRIPT}", "zh": LONG},
        "trade:brand": {"fr": "Seulement\x85ici"},
        "cbvmda:itemExpirationDate": "2020-01-01\u202e",
        "cbvmda:lotNumber": "L\u200b1",
    }
    odd_events = [
        item_event(1, at=at, action="ADD", bizStep="commissioning", ilmd=ilmd, **TRADE),
        item_event(
            1,
            at=at + 1000,
            bizStep="https://x.example/juggling",
            disposition="https://x.example/upside_down",
            certificationInfo="javascript:alert(1)",
            readPoint={"id": "https://x.example/p", "trade:name": {"ar": "مخزن"}},
            **TRADE,
        ),
        complete(
            {
                "type": "ObjectEvent",
                "action": "OBSERVE",
                "epcList": [item_uri(1)],
                "quantityList": [
                    {"epcClass": "https://x.example/c", "quantity": 1e-7, "uom": "KGM"}
                ],
            },
            at=at + 2000,
        ),
    ]
    site.submit(liar.sealed(odd_events))
    many = [item_event(2, at=at + 1000 * n) for n in range(120)]
    site.submit(liar.sealed(many))
    site.publish()
