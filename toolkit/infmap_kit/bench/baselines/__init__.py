"""What else computes the same network in the same run: ONNX Runtime, Keras, OpenVINO's own benchmark."""
