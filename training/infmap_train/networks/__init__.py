"""The paper's networks and the edge network, built with Keras."""
