"""Many trainings by a plan, on workers that may be killed: the paper's 120, or others."""
