"""Exporting a result for other programs: tables, folders of images, FiftyOne, Embedding Atlas.

result.py says what is exported, formats.py names the formats, destination.py writes to the destination, safe_names.py
makes file names; then there is one file per format. Nothing is imported here, so the command line, which needs only the
formats' names, starts fast. What must stay out: reading artifacts (assets/lookups/).
"""
