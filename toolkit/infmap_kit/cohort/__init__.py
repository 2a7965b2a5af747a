"""Whole cohorts: many radiographs, judged by many workers on Dask, nothing lost and nothing twice."""
