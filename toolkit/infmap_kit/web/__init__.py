"""The parts that all served pages share: a guard, a listener, the look, the keyboard and the gestures."""
