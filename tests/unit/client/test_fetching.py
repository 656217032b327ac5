"""One small text from an address: bounded in time, whatever the pace of the sender."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from provenance.client.fetching import FetchError, fetch


def test_a_sender_of_a_byte_now_and_then_meets_the_deadline() -> None:
    """Each byte comes within the time-out; all of them together do not."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
                for _ in range(50):
                    if done.wait(0.1):
                        return
                    connection.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        try:
            with pytest.raises(FetchError, match=r"not whole after 0\.5 seconds"):
                fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_s=0.5)
            assert time.monotonic() - started < 3
        finally:
            done.set()
            thread.join()
