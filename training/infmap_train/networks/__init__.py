"""The paper's networks, built with Keras."""
