"""Clusters compared: with earlier ones, with true labels, with each other, and with their most typical members."""
