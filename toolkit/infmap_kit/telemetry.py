"""Telemetry of dependencies, off: ONNX Runtime, OpenVINO and NNCF would report who uses them.

ONNX Runtime 1.31 writes a device id and a queue of events below the home folder as soon as it is imported, and
sends them to Microsoft; OpenVINO counts each import, and NNCF each use, at Google Analytics. A hospital's host
tells nobody anything: :func:`switch_off` runs when any of our packages is imported, so before any of theirs.
``docs/security.md`` says what each would do.
"""

from __future__ import annotations

import os
import sys

ONNX_RUNTIME = {"ORT_DISABLE_TELEMETRY": "1"}
"""Variable that switches off ONNX Runtime's, in Triton's backend too."""

ENVIRONMENT = {**ONNX_RUNTIME, "NNCF_CI": "1"}
"""Variables that switch it off in this process, and in those that it starts. NNCF has no other word for it than
that it runs in its own tests."""


def switch_off() -> None:
    """Switch it off in this process and its children, whatever the environment said."""
    os.environ.update(ENVIRONMENT)
    # OpenVINO asks a file in the home folder for consent, and takes a missing one for consent. Without this
    # package, which does nothing else, it has a stand-in that sends nothing.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as the import system documents
    if (onnxruntime := sys.modules.get("onnxruntime")) is not None:
        # Somebody else's program imported it first; the variable comes too late for that.
        onnxruntime.disable_telemetry_events()
