"""A result in the forms that other programs read: tables, folders of images, FiftyOne, Embedding Atlas.

What is exported stands in result.py, its forms in formats.py, where it goes in destination.py, what files are called
in safe_names.py; then one file a format. Nothing is imported here, so that the command line, which asks for the forms
alone, starts fast. What must stay out: reading artifacts (assets/lookups.py).
"""
