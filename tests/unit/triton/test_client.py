"""A client whose server leaves in the middle of a question."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from infmap_kit.errors import ServerError
from infmap_kit.triton.client import InfmapClient


class _Leaving(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Gives its answers one after the other, whatever it is asked; the last one for ever."""

    def __init__(self, *answers: tuple[grpc.StatusCode, str]) -> None:
        self.answers, self.asked = list(answers), 0

    def service(self, _details: Any) -> Any:
        def answer(_request: bytes, context: Any) -> bytes:
            code, text = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
            context.abort(code, text)
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadPoolExecutor(2) as threads:
        running = grpc.server(threads)
        yield running
        running.stop(None)


@pytest.mark.parametrize(
    "leaving",
    [
        (grpc.StatusCode.CANCELLED, "CANCELLED"),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
        (grpc.StatusCode.NOT_FOUND, "model 'infmap' has no available versions"),
    ],
    ids=lambda answer: answer[0].name,
)
def test_a_question_that_a_leaving_server_drops_is_asked_again(
    server: Any, leaving: tuple[grpc.StatusCode, str]
) -> None:
    handler = _Leaving(leaving, leaving, (grpc.StatusCode.INTERNAL, "its successor"))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with (
        InfmapClient(f"127.0.0.1:{port}") as client,
        pytest.raises(ServerError, match="refused: its successor"),
    ):
        client.model()
    assert handler.asked == 3


def test_a_refusal_without_words_is_one_line(server: Any) -> None:
    handler = _Leaving((grpc.StatusCode.INTERNAL, ""))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with (
        InfmapClient(f"127.0.0.1:{port}") as client,
        pytest.raises(ServerError, match=r"refused: StatusCode\.INTERNAL"),
    ):
        client.model()
