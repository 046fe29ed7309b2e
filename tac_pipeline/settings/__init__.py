"""The settings file: its keys, how it is read and edited, and the folders that it names.

Parameters are set there and nowhere else. What must stay out: fixed numbers of a method (method/values/).
"""
