"""Measurements that a reader can repeat. Each module says what it measures and runs with `python -m`."""
