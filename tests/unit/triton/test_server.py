"""What a server's log says in one line; starting and ending is in tests/integration."""

from __future__ import annotations

import pytest

from infmap_kit.errors import ServerError
from infmap_kit.triton.server.log import explain_log
from infmap_kit.triton.server.options import ServerOptions

# Lines that tritonserver 2.51.0 wrote here, shortened.
_DOES_NOT_LOAD = [
    "I1121 23:06:33.1 6192 python_be.cc:2249] TRITONBACKEND_ModelInstanceInitialize",
    (
        "E1121 23:06:35.1 6192 model_lifecycle.cc:642] \"failed to load 'detection' version 1: Internal: "
        "ModuleNotFoundError: No module named 'openvino'\\n\\nAt:\\n  model.py(16): <module>\\n\""
    ),
    "error: creating server: Internal - failed to load all models",
]


def test_a_model_that_does_not_load_is_named_without_its_traceback() -> None:
    assert explain_log(_DOES_NOT_LOAD) == (
        "model 'detection' does not load: Internal: ModuleNotFoundError: No module named 'openvino'"
    )


@pytest.mark.parametrize(
    "line",
    [
        "tritonserver: error while loading shared libraries: libdcgm.so.3: cannot open shared object",
        "error: creating server: Invalid argument - unexpected option",
    ],
)
def test_other_reasons_are_found(line: str) -> None:
    reason = explain_log(["I1121 12:00:00.0 1 x.cc:1] fine", line])
    assert reason
    assert reason in line


def test_what_every_cpu_logs_is_no_reason() -> None:
    harmless = 'E1121 12:00:00.0 1 cuda.cc:9] "CudaDriverHelper has not been initialized."'
    assert explain_log([harmless]) == ""
    told = 'E1121 12:00:01.0 1 model.cc:7] "out of memory"'
    assert explain_log([harmless, told]) == "out of memory"
    later = 'E1121 12:00:02.0 1 model.cc:7] "the last one"'
    assert explain_log([told, later, harmless]) == "the last one"


def test_no_reason_is_no_reason() -> None:
    assert explain_log(["I1121 12:00:00.0 1 x.cc:1] fine"]) == ""


@pytest.mark.parametrize("ports", [(8000, 8000, 8002), (0, 8001, 8002), (8000, 8001, 70000)])
def test_impossible_ports_are_refused(ports: tuple[int, int, int]) -> None:
    with pytest.raises(ServerError, match="three different ports"):
        ServerOptions(http_port=ports[0], grpc_port=ports[1], metrics_port=ports[2])
