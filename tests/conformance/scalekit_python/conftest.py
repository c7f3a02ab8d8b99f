"""The unmodified Python SDK over TLS; its connections are made, and its users consent, at the other door."""

from collections.abc import Iterator

import pytest
from scalekit import ScalekitClient

from tests.conformance.scalekit_house import House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    running = House(tmp_path_factory.mktemp("scalekit"))
    running.trust()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def client(house: House) -> ScalekitClient:
    return ScalekitClient(house.secure.base_url, house.client_id, house.client_secret)
