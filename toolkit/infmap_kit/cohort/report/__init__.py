"""A cohort on one page: what was taken and refused, who was in it, and what drifted."""
