"""Grouping vectors without training: k-means, joining results, the number of groups, and the neighbors of every row."""
