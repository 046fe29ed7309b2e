"""Hypothesis for the method's tests: the same examples on every run, and none judged by the clock."""

from hypothesis import settings

settings.register_profile("method", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("method")
