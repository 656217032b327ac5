"""The parts of the phone's verifier against outside vectors, shared vectors and their Python twins.

Everything runs in a real browser. Where outside vectors exist both sides read the same files; where
not, made-up input is given to both and they must agree, whatever it is.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merkle.hashing import leaf_hash
from merkle.tree import root_of
from provenance.crypto.signing import PrivateKey, PublicKey, verify_ed25519
from provenance.crypto.small_order import SMALL_ORDER_SPELLINGS, P
from provenance.domain import canonical
from provenance.domain.moments import MomentError, parse_claimed_time
from qr.errors import IdentifierError
from qr.identifier import canonical_identifier
from tests.browser.conftest import ENGINE, ENGINES, Modules

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- JSON -----------------------------------------------------------------------------------------

READ = """
return argument.map(([hex, max]) => {
    try {
        const value = json.parse(bytes.fromHex(hex), max === null ? {} : { maxBytes: max });
        return bytes.toHex(json.encode(value));
    } catch (error) {
        if (!(error instanceof errors.MalformedJsonError)) throw error;
        return error.code;
    }
});
"""


def read_in_browser(modules: Modules, inputs: list[tuple[bytes, int | None]]) -> list[str]:
    argument = [[data.hex(), limit] for data, limit in inputs]
    return list(modules.run(READ, argument, json="json", bytes="bytes", errors="errors"))


def read_in_python(data: bytes) -> str:
    try:
        return canonical.encode(canonical.parse(data)).hex()
    except canonical.MalformedJsonError as error:
        return error.code


def test_json_vectors(modules: Modules) -> None:
    cases = load(VECTORS / "json.json")
    assert len(cases) >= 100
    inputs = [(bytes.fromhex(case["hex"]), case.get("max")) for case in cases]
    for case, found in zip(cases, read_in_browser(modules, inputs), strict=True):
        expected = case["code"] or case.get("canonical_hex", found)
        assert found == expected, case["name"]


def test_outside_vectors_of_canonical_json(modules: Modules, shared: Path) -> None:
    inputs = sorted((shared / "vectors/jcs/input").iterdir())
    assert len(inputs) == 6
    # `values` and `arrays` hold numbers beyond 2^53, which section 1 refuses: they are written from
    # JavaScript's own reading, because it is the writing that these vectors are about.
    body = "return argument.map((text) => bytes.toHex(json.encode(JSON.parse(text))));"
    texts = [path.read_text(encoding="utf-8") for path in inputs]
    for path, found in zip(
        inputs, modules.run(body, texts, json="json", bytes="bytes"), strict=True
    ):
        expected = (shared / "vectors/jcs/output" / path.name).read_bytes()
        assert bytes.fromhex(found) == expected, path.name


JSON_PIECES = [
    "{", "}", "[", "]", ",", ":", '"', "\\", '"a"', '"b"', "1", "-0", "1.0", "1e3",
    "9007199254740992", "9007199254740991", "1e400", "-", "01", ".5", "true", "false",
    "null", "nul", "NaN", " ", "\n", "\u00a0", "\ufeff",
    "é", "😀", '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0061"', '"__proto__"',
    '"\\x"', '"\t"', "\x00", "1E-400", "5e-324", "0.1", "123456789.987654321",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=6)
    | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["a", "b", "__proto__", "é", "\ufb33", "😀"]), inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=15)
@given(
    st.lists(st.lists(st.sampled_from(JSON_PIECES), max_size=9).map("".join), max_size=200),
    st.lists(json_values.map(lambda value: json.dumps(value, ensure_ascii=False)), max_size=40),
    st.lists(st.binary(max_size=12), max_size=40),
)
def test_any_json_is_read_alike(
    modules: Modules, texts: list[str], values: list[str], raw: list[bytes]
) -> None:
    inputs = [text.encode("utf-8", "surrogatepass") for text in [*texts, *values]] + raw
    found = read_in_browser(modules, [(data, None) for data in inputs])
    for data, answer in zip(inputs, found, strict=True):
        assert answer == read_in_python(data), data


LARGE = """
const times = [];
const sizes = argument.map((unit) => {
    const text = `"${unit.repeat(Math.floor((16 * 1024 * 1024 - 2) / unit.length))}"`;
    const began = performance.now();
    const value = json.parse(new TextEncoder().encode(text), { maxBytes: 16 * 1024 * 1024 });
    times.push(performance.now() - began);
    return value.length;
});
const letters = 'ABCD'.repeat(4 * 1024 * 1024 - 1);
const began = performance.now();
sizes.push(base64.decodeBase64(letters).length);
times.push(performance.now() - began);
return { sizes, slowest: Math.max(...times) };
"""


def test_strings_as_large_as_a_bundle_are_read_soon(modules: Modules) -> None:
    """Megabytes of escapes or of base64, put together letter by letter, would fill a phone."""
    units = [r"\n", r"\u0041", r"\ud83d\ude00", "a"]
    found = modules.run(LARGE, units, json="json", base64="base64")
    room = 16 * 1024 * 1024 - 2
    assert found["sizes"] == [room // 2, room // 6, room // 12 * 2, room, 3 * (4 * 1024 * 1024 - 1)]
    assert found["slowest"] < 20_000


ESCAPES = ["\\", "\\x", "\\u12", "\\u12g4", "\\U0041", "\\'", "\\\n", "\\", "\x00", "\\b\\f\\/"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_every_escape_is_read_alike(modules: Modules, escape: str) -> None:
    inputs = [f'"{before}{escape}{after}"'.encode() for before in ("", "a") for after in ("", "b")]
    inputs += [f'"{escape}'.encode(), f'["{escape}", 1]'.encode(), f'{{"{escape}":1}}'.encode()]
    assert read_in_browser(modules, [(data, None) for data in inputs]) == [
        read_in_python(data) for data in inputs
    ]


def test_depth_is_judged_before_grammar(modules: Modules) -> None:
    inputs = [b"[" * 32, b"[" * 33, b'"' + b"[" * 40 + b'"', b"]" * 3 + b"[" * 35, b"x" + b"{" * 33]
    found = read_in_browser(modules, [(data, None) for data in inputs])
    assert found == [read_in_python(data) for data in inputs]
    assert found[:3] == ["not-json", "too-deep", ("5b" * 40).join(["22", "22"])]


# --- identifiers and times ----------------------------------------------------------------------

IDENTIFY = """
return argument.map((text) => {
    try { return identifier.canonicalIdentifier(text); } catch (error) {
        if (!(error instanceof errors.ProofError)) throw error;
        return null;
    }
});
"""


def identify_in_browser(modules: Modules, texts: list[str]) -> list[str | None]:
    return list(modules.run(IDENTIFY, texts, identifier="identifier", errors="errors"))


def identify_in_python(text: str) -> str | None:
    try:
        return canonical_identifier(text)
    except IdentifierError:
        return None


def test_identifier_vectors(modules: Modules) -> None:
    cases = load(VECTORS / "identifiers.json")
    assert len(cases) >= 60
    found = identify_in_browser(modules, [case["in"] for case in cases])
    for case, answer in zip(cases, found, strict=True):
        assert answer == case["out"], case["in"]


PATH_PARTS = ["01", "10", "21", "22", "235", "00", "414", "254", "8010", "8011", "8006", "7040",
              "x", "", "4012345000009", "%32%31", "%2F", "%zz", "%C3%A9", "%ff", "a b", "é",
              "1"]  # fmt: skip
webs = st.builds(
    lambda scheme, host, parts, end: f"{scheme}://{host}/{'/'.join(parts)}{end}",
    st.sampled_from(["http", "https", "HTTPS", "Https"]),
    st.sampled_from(["id.gs1.org", "brand.example", "", "a:8080"]),
    st.lists(st.sampled_from(PATH_PARTS), max_size=9),
    st.sampled_from(["", "?a=b", "#f", "?a#b", "/"]),
)
urns = st.builds(
    lambda kind, scheme, parts: f"urn:epc:{kind}:{scheme}:{'.'.join(parts)}",
    st.sampled_from(["id", "class", "idpat", "raw"]),
    st.sampled_from(["sgtin", "lgtin", "sscc", "sgln", "pgln", "grai", "gdti", "sgcn", "gsrn",
                     "gsrnp", "gsin", "giai", "ginc", "cpi", "itip", "upui", "gid"]),
    st.lists(st.sampled_from(["0614141", "061414", "112345", "1234567890", "12345", "0", "01", "02",
                              "A%2Fb", "*", "", "%", "é", "12"]), max_size=6),
)  # fmt: skip


@settings(max_examples=20)
@given(st.lists(webs | urns, max_size=300))
def test_any_identifier_is_read_alike(modules: Modules, texts: list[str]) -> None:
    for text, found in zip(texts, identify_in_browser(modules, texts), strict=True):
        assert found == identify_in_python(text), text


TIMES = [
    "2026-11-23T15:00:00Z", "2026-11-23t15:00:00z", "2026-11-23T15:00:00.1234567+05:30",
    "2020-02-29T00:00:00-23:59", "2021-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2000-02-29T23:59:59Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "0099-12-31T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z",
    "2026-01-01T23:60:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Z\n", "２026-01-01T00:00:00Z",
    "1969-12-31T23:59:59.5Z",
]  # fmt: skip


def test_times_are_read_alike(modules: Modules) -> None:
    body = """
    return argument.map((text) => {
        try { return String(moments.parseClaimedTime(text)); } catch (error) { return null; }
    });
    """
    found = modules.run(body, TIMES, moments="moments")
    for text, answer in zip(TIMES, found, strict=True):
        try:
            expected = str(parse_claimed_time(text))
        except MomentError:
            expected = None
        assert answer == expected, text


# --- hashes, proofs, maps -----------------------------------------------------------------------

INCLUSION = """
const from = (text) => Uint8Array.from(atob(text || ''), (c) => c.charCodeAt(0));
return argument.map((c) => {
    try {
        const proof = (c.proof || []).map(from);
        if ('leafHash' in c) {
            merkle.verifyInclusion(from(c.leafHash), c.leafIdx, c.treeSize, proof, from(c.root));
        } else merkle.verifyConsistency(c.size1, c.size2, from(c.root1), from(c.root2), proof);
        return true;
    } catch (error) {
        if (!(error instanceof errors.ProofError)) throw error;
        return false;
    }
});
"""
# Its roots are 12-byte stand-ins; a verifier that insists on 32 bytes refuses it and is right.
SHORT_ROOTS = "sizes-are-equal-one-and-proof-is-empty.json"


def test_outside_merkle_vectors(modules: Modules, shared: Path) -> None:
    paths = sorted((shared / "vectors/merkle").rglob("*.json"))
    assert len(paths) == 196
    cases = [load(path) for path in paths]
    # Sizes beyond 2^53 are no JavaScript numbers: every reader of ours refuses them before this.
    for path, case, good in zip(
        paths, cases, modules.run(INCLUSION, cases, merkle="merkle", errors="errors"), strict=True
    ):
        assert good == (not case["wantErr"] and path.name != SHORT_ROOTS), path


def test_roots_and_digests(modules: Modules) -> None:
    body = """
    const hashes = argument.entries.map((hex) => merkle.leafHash(bytes.fromHex(hex)));
    return argument.sizes.map((size) => bytes.toHex(merkle.rootOf(hashes.slice(0, size))));
    """
    seeded = random.Random(7)
    # Every length around the 64-byte chunks of SHA-256, padding included.
    entries = [seeded.randbytes(length) for length in range(200)]
    sizes = [*range(70), 127, 128, 129, 200]
    found = modules.run(
        body,
        {"entries": [entry.hex() for entry in entries], "sizes": sizes},
        merkle="merkle",
        bytes="bytes",
    )
    hashes = [leaf_hash(entry) for entry in entries]
    assert found == [root_of(hashes[:size]).hex() for size in sizes]


MAP = """
return argument.map((c) => {
    const [root, key, proof] = [c.root, c.key, c.proof].map(bytes.fromHex);
    try {
        if (c.value === null) keymap.verifyAbsence(root, key, proof);
        else keymap.verifyPresence(root, key, bytes.fromHex(c.value), proof);
        return true;
    } catch (error) {
        if (!(error instanceof errors.ProofError)) throw error;
        return false;
    }
});
"""


def test_outside_map_vectors(modules: Modules, shared: Path) -> None:
    cases = load(shared / "vectors/mpt/lookup.json")["cases"]
    assert len(cases) == 31
    found = modules.run(MAP, cases, keymap="keymap", bytes="bytes", errors="errors")
    for case, good in zip(cases, found, strict=True):
        # Structural cases with shorter keys are for implementations that take any length.
        fits = len(case["key"]) == 64 and (case["value"] is None or len(case["value"]) == 64)
        assert good == (case["valid"] and fits), case["desc"]


def test_every_altered_map_proof_is_refused(modules: Modules, shared: Path) -> None:
    cases = load(shared / "vectors/mpt/lookup.json")["cases"]
    good = [case for case in cases if case["valid"] and len(case["key"]) == 64 and case["proof"]]
    altered = []
    for case in good:
        proof = bytes.fromhex(case["proof"])
        variants = [
            bytes([*proof[:at], proof[at] ^ (1 << at % 8), *proof[at + 1 :]])
            for at in range(len(proof))
        ]
        variants += [proof[:-1], proof + b"\0", proof * 2, proof[1:]]
        altered += [{**case, "proof": variant.hex()} for variant in variants]
    assert len(altered) > 500
    assert not any(modules.run(MAP, altered, keymap="keymap", bytes="bytes", errors="errors"))


DISCLOSE = """
return argument.map(([event, disclosures]) => {
    try {
        const read = json.parse(bytes.fromHex(event));
        return bytes.toHex(json.encode(disclosure.applyDisclosures(read, disclosures)));
    } catch (error) {
        if (!(error instanceof errors.ProofError)) throw error;
        return null;
    }
});
"""


def test_disclosure_vectors(modules: Modules) -> None:
    cases = load(VECTORS / "disclosures.json")
    assert len(cases) >= 50
    argument = [[json.dumps(c["event"]).encode().hex(), c["disclosures"]] for c in cases]
    found = modules.run(
        DISCLOSE, argument, json="json", bytes="bytes", errors="errors", disclosure="disclosure"
    )
    for case, answer in zip(cases, found, strict=True):
        shown = case.get("shown")
        expected = None if shown is None else canonical.encode(shown).hex()
        assert answer == expected, case["name"]


# --- Ed25519 ------------------------------------------------------------------------------------

VERIFY = (
    ENGINE
    + """
const answers = [];
for (const c of argument.cases) {
    answers.push(await ed25519.verifyEd25519(engine, ...c.map(bytes.fromHex)));
}
return answers;
"""
)


def judge_in_browser(
    modules: Modules, engine: str, cases: list[tuple[bytes, bytes, bytes]]
) -> list[bool]:
    argument = {"engine": engine, "cases": [[part.hex() for part in case] for case in cases]}
    return list(modules.run(VERIFY, argument, ed25519="ed25519", engines="engines", bytes="bytes"))


@pytest.mark.parametrize("engine", ENGINES)
def test_outside_signature_vectors(modules: Modules, shared: Path, engine: str) -> None:
    groups = load(shared / "vectors/wycheproof/ed25519_test.json")["testGroups"]
    wanted, cases = [], []
    for group in groups:
        for test in group["tests"]:
            key = bytes.fromhex(group["publicKey"]["pk"])
            cases.append((key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])))
            wanted.append(test["result"] == "valid")
    assert len(cases) == 151
    assert judge_in_browser(modules, engine, cases) == wanted
    assert [verify_ed25519(*case) for case in cases] == wanted


def edge_cases() -> list[tuple[bytes, bytes, bytes]]:
    """Keys and points that engines judge differently, signatures made to fit where that can be."""
    key = PrivateKey.from_seed(bytes(range(32)))
    signature = key.sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    identity = (1).to_bytes(32, "little")
    zero = bytes(32)
    cases = [(point, b"m", point + zero) for point in SMALL_ORDER_SPELLINGS]
    cases += [(point, b"m", identity + zero) for point in SMALL_ORDER_SPELLINGS]
    cases += [(key.public.raw, b"m", point + signature[32:]) for point in SMALL_ORDER_SPELLINGS]
    scalar = int.from_bytes(signature[32:], "little")
    cases += [
        (key.public.raw, b"m", signature[:32] + (scalar + n * order).to_bytes(32, "little"))
        for n in range(15)
    ]
    # Not canonical: y of at least p, as key and as R.
    for y in range(P, 2**255):
        for sign in (0, 1 << 255):
            point = (y + sign).to_bytes(32, "little")
            cases += [(point, b"m", signature), (key.public.raw, b"m", point + signature[32:])]
    # Around a good key: mixed-order points and points off the curve are among these.
    seeded = random.Random(5)
    cases += [(seeded.randbytes(32), b"m", signature) for _ in range(60)]
    cases += [(key.public.raw, b"m", seeded.randbytes(32) + signature[32:]) for _ in range(60)]
    cases += [(key.public.raw, b"m", signature[:cut]) for cut in (0, 32, 63)]
    cases += [(key.public.raw[:31], b"m", signature), (key.public.raw, b"n", signature)]
    return [*cases, (key.public.raw, b"m", signature)]


@pytest.mark.parametrize("engine", ENGINES)
def test_keys_and_points_at_the_edges(modules: Modules, engine: str) -> None:
    cases = edge_cases()
    found = judge_in_browser(modules, engine, cases)
    assert found == [verify_ed25519(*case) for case in cases]
    assert found.count(True) == 2  # the plain signature, and S + 0·ℓ


def test_key_admission(modules: Modules) -> None:
    seeded = random.Random(11)
    keys = sorted(SMALL_ORDER_SPELLINGS) + [seeded.randbytes(32) for _ in range(200)]
    keys += [PrivateKey.from_seed(seeded.randbytes(32)).public.raw for _ in range(20)]
    body = "return argument.map((hex) => ed25519.isAdmissibleKey(bytes.fromHex(hex)));"
    found = modules.run(body, [key.hex() for key in keys], ed25519="ed25519", bytes="bytes")
    for key, answer in zip(keys, found, strict=True):
        try:
            PublicKey.admit(key)
            expected = True
        except Exception:  # any refusal
            expected = False
        assert answer == expected, key.hex()
    assert sum(found) >= 30  # about one random point in sixteen is a good key
