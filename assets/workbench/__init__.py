"""The workbench behind `tac open`: every image of a store by its groups, found by words, corrected with the mouse.

desk.py reads the results and carries out actions, app.py answers the browser. What must stay out: what a correction
means (results/corrections), and the guard (assets/serving).
"""
