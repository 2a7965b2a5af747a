"""Asking a served ensemble; the only place that knows tritonclient's errors."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import MissingDependency, ServerError
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.triton.infmap_model import InfmapModel

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

DEFAULT_URL = "127.0.0.1:8001"
# Attempts where a connection is lost on the way, as at a change of servers, each after a short wait.
_ATTEMPTS = 40
_WAIT_S = 0.05
# A connection of its own for each client: gRPC would share one, to the server that is just ending.
_CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]
_NO_SUCH_OUTPUT = "unexpected inference output"
"""Part of Triton's message about an output that a model does not have."""


class InfmapClient(InfmapModel):
    """A gRPC connection to a server; use it as a context manager.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC endpoint.
    timeout_s
        Seconds after which a request is given up.
    """

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60.0) -> None:
        try:
            from tritonclient import grpc
        except ImportError as error:
            raise MissingDependency(
                "asking a server needs tritonclient, which is not installed: pip install 'infmap-kit[client]'"
            ) from error
        self.url = url
        self._timeout_s = timeout_s
        self._grpc = grpc
        self._client = self._connected()
        self._configs: dict[int, Any] = {}
        self.release: int | None = None

    def ask(
        self, model: str, inputs: Mapping[str, NDArray[np.uint8]], outputs: Collection[str]
    ) -> dict[str, NDArray[Any]]:
        """Ask the ensemble or a model behind it for some outputs of a batch; raises what :meth:`infer` does.

        Parameters
        ----------
        inputs
            Name to (N, H, W) uint8.

        Returns
        -------
        dict
            Output name to array, with the batch dimension.
        """
        tensors = [
            self._grpc.InferInput(name, list(pictures.shape), "UINT8").set_data_from_numpy(pictures)
            for name, pictures in inputs.items()
        ]
        requested = [self._grpc.InferRequestedOutput(name) for name in outputs]
        result = self._persistently(
            lambda: self._client.infer(
                model, tensors, outputs=requested, client_timeout=self._timeout_s
            )
        )
        self.release = int(result.get_response().model_version)
        return {name: result.as_numpy(name) for name in outputs}

    def answer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        outputs: Collection[str],
        where_served: Collection[str],
    ) -> dict[str, NDArray[Any]]:
        """Ask for what the model has that will answer, though another may be published meanwhile."""
        if not where_served:
            return self.ask(ENSEMBLE.name, inputs, outputs)
        while True:
            offered = self.offered()
            names = [*outputs, *(name for name in where_served if name in offered)]
            try:
                answer = self.ask(ENSEMBLE.name, inputs, names)
            except ServerError as error:
                if _NO_SUCH_OUTPUT not in str(error):
                    raise
                # The config that was known is that of a model that is served no longer.
                self.release = None
                if self.offered() == offered:
                    raise
            else:
                if self.offered() == offered:
                    return answer

    def server_version(self) -> str:
        """Triton's version, such as ``"2.51.0"``.

        Raises
        ------
        ServerError
            When the server does not answer.
        """
        with self._translated():
            answer = self._client.get_server_metadata(client_timeout=self._timeout_s)
        return str(answer.version)

    def statistics(self) -> dict[str, dict[str, int]]:
        """Triton's own account of what every model has done since the server started.

        Returns
        -------
        dict
            Model to ``requests``, and nanoseconds in all of them: ``total``, ``queue``, ``compute_input``,
            ``compute_infer``, ``compute_output``.

        Raises
        ------
        ServerError
            When the server does not answer.
        """
        with self._translated():
            answer = self._client.get_inference_statistics(client_timeout=self._timeout_s)
        return {
            model.name: {
                "requests": model.inference_stats.success.count,
                "total": model.inference_stats.success.ns,
                **{
                    part: getattr(model.inference_stats, part).ns
                    for part in ("queue", "compute_input", "compute_infer", "compute_output")
                },
            }
            for model in answer.model_stats
        }

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def config(self) -> pb.ModelConfig:
        """See :meth:`InfmapModel.config`; raises what :meth:`model` raises."""
        if self.release in self._configs:
            return self._configs[self.release]
        version = "" if self.release is None else str(self.release)
        answer = self._persistently(
            lambda: self._client.get_model_config(
                ENSEMBLE.name, version, client_timeout=self._timeout_s
            )
        )
        if self.release is not None:
            self._configs[self.release] = answer.config
        return answer.config

    def _connected(self) -> Any:
        with self._translated():
            return self._grpc.InferenceServerClient(self.url, channel_args=_CHANNEL)

    def _persistently(self, request: Callable[[], Any]) -> Any:
        """Ask, and ask again where a server that ends left the question to its successor.

        Asking twice is safe: the same picture gives the same answer, and the server stores nothing.
        """
        from tritonclient.utils import InferenceServerException

        with self._translated():
            for _ in range(_ATTEMPTS):
                try:
                    return request()
                except InferenceServerException as error:
                    if not _is_ending(error):
                        raise
                time.sleep(_WAIT_S)
                self._client.close()
                self._client = self._connected()
            return request()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        from tritonclient.utils import InferenceServerException

        try:
            yield
        except InferenceServerException as error:
            raise ServerError(self._explain(error)) from error

    def _explain(self, error: Any) -> str:
        status = error.status() or ""
        reason = next(iter((error.message() or "").splitlines()), status)
        if "UNAVAILABLE" in status:
            return (
                f"no server answers at {self.url}, or it died on the way: start one with `infmap-kit serve`, "
                "or name it with --url"
            )
        if "DEADLINE" in status:
            return f"the server at {self.url} did not answer within {self._timeout_s:.0f} s"
        return f"the server at {self.url} refused: {reason}"


def _is_ending(error: Any) -> bool:
    """Whether a server was there and is about to leave; where none listens there is no successor."""
    status, message = error.status() or "", error.message() or ""
    return (
        # A request that is still open when a server has waited long enough; no client here cancels any.
        "CANCELLED" in status
        # A server that has unloaded its models answers so for a moment, until it closes its connections.
        or "has no available versions" in message
        or ("UNAVAILABLE" in status and "Connection refused" not in message)
    )
