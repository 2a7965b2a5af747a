"""Evaluation of a network: metrics, tables and plots."""
