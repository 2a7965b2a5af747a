"""What the pages that a command serves share: a guard, a listener, the look, the keyboard and the gestures."""
