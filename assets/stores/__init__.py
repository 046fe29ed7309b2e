"""The code location of the settings file at the top of a clone; workspace.yaml lists it."""
