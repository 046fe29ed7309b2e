"""Telling somebody that something is up with a store, once for each cause, and once more when it is over.

What must stay out: what counts as something (assets/orchestration/telling).
"""
