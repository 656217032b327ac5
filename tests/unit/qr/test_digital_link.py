"""The thirteen parsing rules of GS1 Digital Link, each with what passes and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qr import escapes
from qr.digital_link import DigitalLink, build, parse
from qr.errors import DigitalLinkError
from qr.gs1 import check_digit

G = "09521234543213"
B = "https://example.com"
BASE = f"{B}/01/{G}"

GOOD = [
    BASE,
    f"{B}/01/{G}/21/S1",
    f"{B}/01/{G}/10/ABC123",
    f"{B}/01/{G}/22/2A/10/ABC123/21/S1",
    f"{B}/01/{G}/22/2A/21/S1",
    f"{B}/01/{G}/235/TPX1",
    f"{B}/00/106141412345678908",
    f"{B}/00/106141412345678908?02={G}&37=10",
    f"{B}/414/0614141123452",
    f"{B}/414/0614141123452/254/400",
    f"{B}/414/0614141123452/7040/1ABC",
    f"{B}/415/0614141123452/8020/R1",
    f"{B}/417/0614141123452/7040/1ABC",
    f"{B}/8003/00614141123452400",
    f"{B}/8004/061414112345400/7040/1ABC",
    f"{B}/8006/040123451234560102/22/A/10/L/21/S",
    f"{B}/8010/0614141A%23%2FB/8011/12",
    f"{B}/8013/1987654Ad4X4bL5ttr2310c2K",
    f"{B}/8017/061414112345678902/8019/1",
    f"{B}/8018/061414112345678902/8019/1",
    f"{B}/253/0614141123452400",
    f"{B}/255/4012345678901",
    f"{B}/401/0614141xyz",
    f"{B}/402/06141411234567890",
]

REFUSED = [
    # 0: our own limits
    (0, BASE + "/21/" + "x" * 2_100),
    (0, B + "/x" * 130 + f"/01/{G}"),
    (0, BASE + "?" + "&" * 130),
    # 1: characters
    *[(1, f"{BASE}/21/a{character}b") for character in '<>{}\\^"|` \t\x7f\x00é€'],
    (1, BASE + "/21/\U0001f600"),
    (1, f"https://exämple.com/01/{G}"),
    # 2: scheme
    (2, f"Https://example.com/01/{G}"),
    (2, f"HTTPs://example.com/01/{G}"),
    (2, f"ftp://example.com/01/{G}"),
    (2, f"//example.com/01/{G}"),
    (2, f"https:/example.com/01/{G}"),
    (2, f"/01/{G}"),
    (2, ""),
    # 3: host
    (3, f"https:///01/{G}"),
    (3, f"https://user@example.com/01/{G}"),
    (3, f"https://user:secret@example.com/01/{G}"),
    (3, f"https://exa_mple.com/01/{G}"),
    (3, f"https://ex%61mple.com/01/{G}"),
    (3, f"https://example.com:/01/{G}"),
    (3, f"https://example.com:port/01/{G}"),
    (3, f"https://example.com:123456/01/{G}"),
    (3, f"https://[::1/01/{G}"),
    (3, f"https://[]/01/{G}"),
    (3, f"https://[::1]x/01/{G}"),
    # 4: what a fragment or an early ? hides is not there
    (5, f"{B}/#/01/{G}"),
    (5, f"{B}?/01/{G}"),
    # 5: primary key
    (5, B),
    (5, f"{B}/"),
    (5, f"{B}/x"),
    (5, f"{B}/gtin/{G}"),
    (5, f"{B}/10/LOT"),
    (5, f"{B}/01"),
    (5, f"{B}/01/{G}/21"),
    (5, f"{B}/02/{G}"),
    (5, f"{B}/%30%31/{G}"),
    (5, f"{B}/1/{G}"),
    # 6: qualifiers
    (6, f"{BASE}/21/S1/10/L"),
    (6, f"{BASE}/10/L/22/2A"),
    (6, f"{BASE}/10/L/10/M"),
    (6, f"{BASE}/21/S/21/S"),
    (6, f"{BASE}/10/L/235/T"),
    (6, f"{BASE}/22/2A/10/L/235/T"),
    (6, f"{BASE}/17/261231"),
    (6, f"{BASE}/9999/X"),
    (6, f"{BASE}/lot/L"),
    (6, f"{B}/00/106141412345678908/10/L"),
    (6, f"{B}/414/0614141123452/254/1/7040/1ABC"),
    (6, f"{B}/8003/00614141123452400/7040/1ABC"),
    # 7: empty values, slashes
    (7, f"{BASE}/"),
    (7, f"{BASE}/21/S1/"),
    (7, f"{BASE}/21/"),
    (7, f"{B}/01//21/S1"),
    (7, f"{BASE}//21/S1/"),
    # 8: query
    (8, f"{BASE}?17="),
    (8, f"{BASE}?9999=1"),
    (8, f"{BASE}?1=1"),
    (8, f"{BASE}?21=S1"),
    (8, f"{BASE}?22=2A"),
    (8, f"{BASE}?235=T"),
    (8, f"{BASE}?8011=1"),
    (8, f"{B}/00/106141412345678908?21=S"),
    # 9: a lot that belongs into the path
    (9, f"{BASE}?10=L"),
    (9, f"{BASE}/21/S1?10=L"),
    (9, f"{BASE}/10/L?10=L"),
    (9, f"{B}/8006/040123451234560102?10=L"),
    # 10: twice
    (10, f"{BASE}?17=261231&17=261231"),
    (10, f"{BASE}?01={G}"),
    # 11: escapes
    (11, f"{BASE}/21/%"),
    (11, f"{BASE}/21/%2"),
    (11, f"{BASE}/21/%zz"),
    (11, f"{BASE}/21/%FF"),
    (11, f"{BASE}/21/a%00b"),
    (11, f"{BASE}?90=%00"),
    # 12: values
    (12, f"{B}/01/09521234543214"),
    (12, f"{B}/01/{G}3"),
    (12, f"{BASE}/21/{'x' * 21}"),
    (12, f"{BASE}/21/a%20b"),
    (12, f"{BASE}/21/a~b"),
    (12, f"{BASE}/21/caf%C3%A9"),
    (12, f"{BASE}?90=a+b"),
    (12, f"{BASE}?17=261332"),
    (12, f"{BASE}?422=999"),
    (12, f"{B}/00/106141412345678907"),
    (12, f"{B}/8003/10614141123452"),
    (12, f"{B}/414/0614141123453"),
    # 13: GTINs
    (13, f"{B}/01/9521234543213"),
    (13, f"{B}/01/036000291452"),
    (13, f"{B}/01/96385074"),
]


@pytest.mark.parametrize("uri", GOOD)
def test_good_links_are_written_as_they_were_read(uri: str) -> None:
    link = parse(uri)
    assert link.format(B) == uri
    assert parse(link.canonical()).canonical() == link.canonical()


@pytest.mark.parametrize(("rule", "uri"), REFUSED)
def test_the_broken_rule_is_named(rule: int, uri: str) -> None:
    with pytest.raises(DigitalLinkError) as caught:
        parse(uri)
    assert caught.value.rule == rule, str(caught.value)
    assert caught.value.expected and caught.value.found and caught.value.remedy


def test_all_parts() -> None:
    link = parse(
        f"http://[2001:db8::1]:8080/stem/21/x//01/{G}/22/2A/10/a%2fb/21/S%2B1"
        "?17=261231&&word&linkType=gs1:pip&7a=x&=y&15=261200#/01/1?x"
    )
    assert link == DigitalLink(
        key=("01", G),
        qualifiers=(("22", "2A"), ("10", "a/b"), ("21", "S+1")),
        attributes=(("17", "261231"), ("15", "261200")),
        others=("linkType=gs1:pip", "7a=x", "=y"),
        host="[2001:db8::1]:8080",
        stem="stem/21/x/",
    )
    assert link.path == f"/01/{G}/22/2A/10/a%2Fb/21/S%2B1"
    assert link.canonical() == "https://id.gs1.org" + link.path
    assert link.format(B + "/p/") == f"{B}/p{link.path}?17=261231&15=261200"
    assert link.values["10"] == "a/b"


def test_plus_in_the_path_is_a_plus() -> None:
    assert parse(f"{BASE}/21/a+b").qualifiers == (("21", "a+b"),)


def test_a_value_is_unescaped_once() -> None:
    assert parse(f"{BASE}/21/a%2523").qualifiers == (("21", "a%23"),)


def test_the_stem_may_look_like_anything() -> None:
    link = parse(f"{B}/01/%zz/00/{G}/01/{G}")
    assert (link.key, link.stem) == (("01", G), f"01/%zz/00/{G}")


def test_a_lot_in_the_query_is_fine_beside_the_other_alternative() -> None:
    assert parse(f"{BASE}/235/T?10=L").attributes == (("10", "L"),)


def test_another_primary_key_may_be_an_attribute() -> None:
    assert parse(f"{BASE}/21/S?414=0614141123452").values["414"] == "0614141123452"


def test_upper_case_scheme() -> None:
    assert parse(f"HTTPS://EXAMPLE.COM/01/{G}").canonical() == f"https://id.gs1.org/01/{G}"


@pytest.mark.parametrize(
    ("short", "full"),
    [("96385074", "00000096385074"), ("036000291452", "00036000291452"), (G[1:], G), (G, G)],
)
def test_short_gtins_behind_the_switch(short: str, full: str) -> None:
    link = parse(f"{B}/01/{short}?02={short}", short_gtins=True)
    assert link.values == {"01": full, "02": full}


def test_a_short_gtin_still_needs_its_check_digit() -> None:
    with pytest.raises(DigitalLinkError) as caught:
        parse(f"{B}/01/96385075", short_gtins=True)
    assert caught.value.rule == 12


@pytest.mark.parametrize(
    "base", ["", "example.com", "ftp://a", "https://a?b", "https://", "https://a b"]
)
def test_a_wrong_base_is_refused(base: str) -> None:
    with pytest.raises(DigitalLinkError) as caught:
        parse(BASE).format(base)
    assert caught.value.rule in (1, 2, 3)


def test_build_puts_qualifiers_in_order() -> None:
    link = build(("01", G), {"21": "S/1", "10": "L"}, {"17": "261231"})
    assert link.format(B) == f"{BASE}/10/L/21/S%2F1?17=261231"
    assert build(("00", "106141412345678908")).path == "/00/106141412345678908"
    assert build(("01", G), {"235": "T"}, {"10": "L"}).qualifiers == (("235", "T"),)


@pytest.mark.parametrize(
    ("rule", "key", "qualifiers", "attributes"),
    [
        (5, ("10", "L"), {}, {}),
        (6, ("01", G), {"10": "L", "235": "T"}, {}),
        (6, ("00", "106141412345678908"), {"21": "S"}, {}),
        (8, ("01", G), {}, {"21": "S"}),
        (8, ("01", G), {}, {"linkType": "x"}),
        (9, ("01", G), {}, {"10": "L"}),
        (10, ("01", G), {}, {"01": G}),
        (12, ("01", G), {"21": "a b"}, {}),
        (12, ("01", G), {"21": ""}, {}),
        (12, ("01", G), {}, {"17": "x"}),
        (13, ("01", G[1:]), {}, {}),
    ],
)
def test_build_is_as_strict_as_parse(
    rule: int, key: tuple[str, str], qualifiers: dict[str, str], attributes: dict[str, str]
) -> None:
    with pytest.raises(DigitalLinkError) as caught:
        build(key, qualifiers, attributes)
    assert caught.value.rule == rule


SET_82 = "!\"%&'()*+,-./0129:;<=>?ABZ_abz"
VALUES = st.text(SET_82, min_size=1, max_size=20)


@given(
    st.text("0123456789", min_size=13, max_size=13),
    st.dictionaries(st.sampled_from(["22", "10", "21"]), VALUES),
    st.dictionaries(st.sampled_from(["90", "99", "240"]), VALUES),
)
def test_what_is_built_is_read_back(
    digits: str, qualifiers: dict[str, str], attributes: dict[str, str]
) -> None:
    link = build(("01", digits + check_digit(digits)), qualifiers, attributes)
    read = parse(link.format(B + "/stem"))
    assert (read.key, read.qualifiers, read.attributes) == (
        link.key,
        link.qualifiers,
        link.attributes,
    )
    assert read.canonical() == link.canonical()


@given(st.text(alphabet="/0128?=&%#+.aS ", max_size=40))
def test_any_tail_is_read_or_refused_with_a_rule(tail: str) -> None:
    for uri in (B + tail, BASE + tail, f"{BASE}/21/{tail}"):
        try:
            link = parse(uri)
        except DigitalLinkError as error:
            assert 0 <= error.rule <= 13
        else:
            assert parse(link.format(B)).canonical() == link.canonical()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a%2Fb", "a/b"),
        ("%E2%82%AC", "€"),
        ("%", None),
        ("%C0%80", None),
        ("é", "é"),
        ("\ud800", None),
    ],
)
def test_escapes(text: str, value: str | None) -> None:
    assert escapes.decode(text) == value
