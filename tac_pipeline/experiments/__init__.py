"""Experiments: several ways of grouping on several sets with labels, in one table beside published figures.

    plan.py      the file of an experiment         running.py   each way on each set with each seed, kept line by line
    ways.py      the ways that can be compared     tables.py    means and spreads, as Markdown, CSV or LaTeX

What must stay out: how a way groups (tac_pipeline/method/), and figures of speed alone (benchmarks/).
"""
