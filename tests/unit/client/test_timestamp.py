"""RFC 3161 anchors against a real authority: what is believed, and every way of not being."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator

import pytest

from merkle.checkpoint import Checkpoint
from provenance.client.timestamp import TimestampAuthority
from provenance.crypto.timestamps import MAX_TOKEN_BYTES, load_roots, verify_token
from provenance.domain.anchoring import AnchorError
from tests.support.authority import Authority, make_authority, serving_authority
from tests.support.dripping import dripping

TEXT = Checkpoint("log.example/1", 5, bytes(range(32))).format().encode()
OTHER = Checkpoint("log.example/1", 6, bytes(range(32))).format().encode()


@pytest.fixture(scope="module")
def serving() -> Iterator[Authority]:
    with serving_authority() as authority:
        yield authority


@pytest.fixture
def authority(serving: Authority) -> Iterator[Authority]:
    yield serving
    serving.answer = serving.stamp


@pytest.fixture
def client(authority: Authority) -> TimestampAuthority:
    return TimestampAuthority(authority.url, load_roots(authority.roots), timeout_ms=5_000)


def test_a_token_states_the_authoritys_time_and_is_verified_again(
    authority: Authority, client: TimestampAuthority
) -> None:
    before = int(time.time()) * 1000
    confirmed = client.request(TEXT)
    assert before <= confirmed.time <= int(time.time() * 1000)
    token = b64decode(confirmed.proof["token"])
    roots = load_roots(authority.roots)
    assert verify_token(token, TEXT, roots) == confirmed.time
    with pytest.raises(AnchorError, match="Mismatch between messages"):
        verify_token(token, OTHER, roots)


def test_the_token_alone_is_taken_as_well(authority: Authority, client: TimestampAuthority) -> None:
    confirmed = client.poll(TEXT)
    response = b64decode(confirmed.proof["token"])
    # SEQUENCE, its length in two bytes, then PKIStatusInfo: SEQUENCE of 3 bytes or more.
    assert response[:2] == b"\x30\x82"
    token = response[4 + 2 + response[5] :]
    assert verify_token(token, TEXT, load_roots(authority.roots)) == confirmed.time


def test_any_flipped_bit_of_what_is_signed_is_refused(
    authority: Authority, client: TimestampAuthority
) -> None:
    token = b64decode(client.request(TEXT).proof["token"])
    roots = load_roots(authority.roots)
    passed = []
    for place in range(len(token)):
        altered = bytearray(token)
        altered[place] ^= 1
        try:
            verify_token(bytes(altered), TEXT, roots)
        except AnchorError:
            continue
        passed.append(place)
    # Some bytes are signed by nobody (text of the status, unused forms of an algorithm's name); the
    # time, the digest and the signature are not among them.
    moment = token.index(b"\x18\x0f") + 2
    digest_place = token.index(b"\x04\x20") + 2
    assert not {*range(moment, moment + 15), *range(digest_place, digest_place + 32)} & {*passed}
    assert not {*range(len(token) - 60, len(token))} & {*passed}
    assert len(passed) < len(token) // 20, passed


def test_an_answer_that_trickles_in_meets_its_deadline(authority: Authority) -> None:
    """Each byte comes within the time-out; all of them together do not."""
    with dripping() as url:
        slow = TimestampAuthority(url, load_roots(authority.roots), timeout_ms=500)
        started = time.monotonic()
        with pytest.raises(AnchorError, match=r"not whole after 0\.5 seconds"):
            slow.request(TEXT)
        assert time.monotonic() - started < 3


def test_an_authority_under_another_root_is_not_believed(
    client: TimestampAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = make_authority(tmp_path_factory.mktemp("other"))
    token = b64decode(client.request(TEXT).proof["token"])
    with pytest.raises(AnchorError, match="not good"):
        verify_token(token, TEXT, load_roots(other.roots))
    with pytest.raises(AnchorError, match="no root certificate"):
        verify_token(token, TEXT, ())


def test_an_old_answer_is_not_taken_for_a_new_one(
    authority: Authority, client: TimestampAuthority
) -> None:
    old = b64decode(client.request(TEXT).proof["token"])
    authority.answer = lambda _: (200, old)
    with pytest.raises(AnchorError, match="Nonce mismatch"):
        client.request(TEXT)


def test_a_refusal_of_the_authority_is_no_token(
    authority: Authority, client: TimestampAuthority
) -> None:
    # An algorithm that the authority was not told to accept.
    authority.answer = lambda query: authority.stamp(
        query.replace(
            b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", b"\x60\x86\x48\x01\x65\x03\x04\x02\x02"
        )
    )
    with pytest.raises(AnchorError):
        client.request(TEXT)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"\x30\x80" + bytes(100)),
        (200, bytes(MAX_TOKEN_BYTES + 1)),
        (500, b"away"),
        (302, b""),
    ],
)
def test_other_answers_are_errors_that_name_the_authority_or_the_form(
    authority: Authority, client: TimestampAuthority, status: int, body: bytes
) -> None:
    authority.answer = lambda _: (status, body)
    with pytest.raises(AnchorError, match="time-stamp"):
        client.request(TEXT)


def test_nobody_there_is_an_error(authority: Authority) -> None:
    roots = load_roots(authority.roots)
    with pytest.raises(AnchorError, match="fails"):
        TimestampAuthority("http://127.0.0.1:9/", roots, timeout_ms=500).request(TEXT)


def test_roots_must_be_there_and_be_certificates(tmp_path: object, authority: Authority) -> None:
    with pytest.raises(AnchorError, match="no root certificates"):
        load_roots(authority.folder / "missing.pem")
    with pytest.raises(AnchorError, match="no root certificates"):
        load_roots(authority.folder / "tsa.cnf")
