"""Sites for the HTTP tests: one told story to read from, and an installation on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.audit import audit
from tests.support.databases import PRODUCTS, PostgresServer
from tests.web.site import Site


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    """A site on which the shipped story has been told, and the URI of its can. For reading only."""
    site = Site.make(tmp_path_factory.mktemp("told"))
    yield site, site.tell_story()
    site.platform.close()


@pytest.fixture(scope="module", params=PRODUCTS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """An installation on each database product, shared by a module; its rows fit at the end."""
    directory = tmp_path_factory.mktemp("site")
    server: PostgresServer | None = None
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        url = server.take()
    made = Site.make(directory, url)
    yield made
    audit(made.platform.database)
    made.platform.close()
    if server is not None:
        server.give_back(url)


@pytest.fixture(autouse=True)
def unremembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question to /readyz is a look of its own: tests ask more often than balancers."""
    monkeypatch.setattr("provenance.services.readiness.FRESH_SECONDS", 0.0)
