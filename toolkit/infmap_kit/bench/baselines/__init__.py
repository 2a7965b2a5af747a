"""Other ways to compute the same network in the same run: ONNX Runtime, Keras, OpenVINO's benchmark."""
