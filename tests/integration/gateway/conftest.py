"""The gateway on a real nginx before a real Triton server, and its callers' certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from authority import Authority, Certificate
from gateways import Gateway, running_gateway
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the gateway's certificate, and those of its callers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ward(authority: Authority) -> Certificate:
    return authority.sign("ward-3")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The same name, by another authority."""
    return Authority(tmp_path_factory.mktemp("other"), "other").sign("ward-3")


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, server: TritonServer, authority: Authority
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(
        folder, authority, server.grpc_url, server.http_url.removeprefix("http://"),
        allowed=("ward-3",), key_callers=("archive",), requests_per_second=10_000, body_mib=4,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(autouse=True)
def _the_server_stays_up(server: TritonServer) -> Iterator[None]:
    """Whatever a test does at the gateway, the same process answers afterwards."""
    pid = server.pid
    yield
    server.check_alive()
    assert server.pid == pid
    with InfmapClient(server.grpc_url) as client:
        assert client.model()
