"""The scopes that are timed, from where to where."""

from __future__ import annotations

ENGINE_ALONE = "engine alone"
ENGINE_WITH_TRANSFERS = "engine with transfers"
SERVED_SEGMENTATION = "served segmentation"
SERVED_ENSEMBLE = "served ensemble"
FILE_TO_MAP = "file to map"

IN_PROCESS = "file to map, in the process"

NATIVE_MAP = "served, map at native size"
ENCODE_PNG = "PNG of the native map"

DECODE = "decode the file"
RESIZE = "resize to the network"
LUNGS = "lungs"
DETECTION = "detection"
RENDERING = "rendering"
SUMMARY = "summary"

ONNX_RUNTIME = "ONNX Runtime FP32"
KERAS_PREDICT = "Keras predict"
OTHER_ENGINE = "other model, engine alone"
OTHER_ONNX_RUNTIME = "other model, ONNX Runtime FP32"

SCOPES = {
    ENGINE_ALONE: "network input in memory to probability, in the measuring process",
    ENGINE_WITH_TRANSFERS: "the same from host memory to host memory, over a GPU's bus",
    SERVED_SEGMENTATION: "network input in memory to probability, through Triton by gRPC, and nothing else",
    SERVED_ENSEMBLE: "network input in memory to all four outputs, through Triton by gRPC",
    FILE_TO_MAP: "encoded bytes in memory to the finding and the map at the network's size, through Triton",
}
"""The nested scopes: each holds the one before it."""

APART = {
    IN_PROCESS: "as file to map, answered by the engines of the measuring process, without Triton and gRPC",
    NATIVE_MAP: "as served ensemble, but painted at the picture's own size",
    ENCODE_PNG: "encoding that map",
}
"""The way without a server, and times that come on top for a map at native size on disk."""

STAGES = {
    DECODE: "encoded bytes to pixels",
    RESIZE: "pixels to the network's input",
    LUNGS: "the network of the lungs alone, in the measuring process, where lungs are served",
    DETECTION: "the detection graph alone, in the measuring process",
    RENDERING: "the rendering graph alone at the network's size, in the measuring process",
    SUMMARY: "the summary graph alone, in the measuring process, where it is served",
}
"""Parts of a request that are timed by themselves, to say where the time goes."""

BASELINES = {
    ONNX_RUNTIME: "the same graph in FP32 on ONNX Runtime with all cores, in a process of its own",
    KERAS_PREDICT: "the same network, built anew, by Keras' predict, in a process of its own",
    OTHER_ENGINE: "the engine of the other repository, in the measuring process",
    OTHER_ONNX_RUNTIME: "the other repository's network in FP32 on ONNX Runtime, in a process of its own",
}
"""Runners that the engine alone is compared with, measured in turn with it."""

RATIOS = (
    (ENGINE_ALONE, ONNX_RUNTIME),
    (ENGINE_ALONE, KERAS_PREDICT),
    (FILE_TO_MAP, ENGINE_ALONE),
    (ENGINE_ALONE, OTHER_ENGINE),
    (ENGINE_ALONE, OTHER_ONNX_RUNTIME),
)
"""The ratios by which a measurement is judged: they must be sure, whether or not there is a goal."""

GOALS = {
    ("U-Net", "DenseNet-121"): {
        (ENGINE_ALONE, ONNX_RUNTIME): 0.30,
        (ENGINE_ALONE, KERAS_PREDICT): 0.15,
        (FILE_TO_MAP, ENGINE_ALONE): 1.30,
    },
    ("U-Net", "EfficientNet-Lite0"): {
        (ENGINE_ALONE, OTHER_ENGINE): 0.085,
        (ENGINE_ALONE, OTHER_ONNX_RUNTIME): 0.075,
    },
}
"""Architecture and encoder to the highest ratios that are aimed at (issue 22), on two cores, at the fastest
precision that passes the gate; the other model of the edge network is U-Net with DenseNet-121 in FP32."""

MEANINGS = {**SCOPES, **APART, **BASELINES, **STAGES}
"""Everything that has samples, in the order of a report."""
