"""One patient's results in the order of time: what changed, and what is the model's noise."""
