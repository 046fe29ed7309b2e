"""Lloyd's rounds, on whichever device holds the rows, and their two levels for many clusters.

What must stay out: what the rounds start from (spherical_kmeans.py, ward.py), which this room never imports.
"""
