"""A model's ONNX graphs: networks, checked and in lower precision, and the detection and rendering behind them.

Each graph is written in ONNX's own text syntax, which reads like the formula it is. Every
target computes from these graphs, so that a GPU host needs no Python and no two hosts differ.
"""
