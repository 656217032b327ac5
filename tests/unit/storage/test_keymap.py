"""The map's leaves as rows."""

from __future__ import annotations

from hashlib import sha256

from merkle.tree import Edge
from provenance.domain.ledger import SubjectState
from provenance.storage import keymap
from provenance.storage.session import Database


def make(name: str, count: int) -> SubjectState:
    edge = Edge().extend(sha256(f"{name} {n}".encode()).digest() for n in range(count))
    return SubjectState(count, sha256(f"{name} {count - 1}".encode()).digest(), edge, count * 10)


def key(name: str) -> bytes:
    return sha256(name.encode()).digest()


def test_states_are_written_changed_and_read_back(database: Database) -> None:
    first = {key(name): make(name, 5) for name in "abc"}
    second = {key("b"): make("b", 6), key("d"): make("d", 1)}
    with database.write() as connection:
        keymap.write_states(connection, first, 7)
        keymap.write_states(connection, second, 12)
        keymap.write_states(connection, {}, 13)
    with database.read() as connection:
        wanted = [key(name) for name in "abcdx"]
        assert keymap.read_states(connection, wanted) == {**first, **second}
        assert keymap.read_states(connection, []) == {}
        assert keymap.count_leaves(connection) == 4


def test_values_stream_in_order_of_keys(database: Database) -> None:
    states = {key(name): make(name, 2) for name in "abcdefgh"}
    with database.write() as connection:
        keymap.write_states(connection, states, 7)
    with database.read() as connection:
        values = list(keymap.stream_values(connection))
    assert values == sorted((one, state.value) for one, state in states.items())


def test_many_keys_in_one_call(database: Database) -> None:
    states = {key(str(n)): make(str(n), 1) for n in range(2_500)}
    with database.write() as connection:
        keymap.write_states(connection, states, 1)
    with database.read() as connection:
        assert keymap.read_states(connection, list(states)) == states
