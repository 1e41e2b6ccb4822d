"""Reproducible comparisons; `python -m bench` runs them all."""
