"""Plots and tables that the Dagster UI shows."""
