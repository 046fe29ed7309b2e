"""What there is to know before the first run of a store: what is missing here, what the run costs, a settings file.

Nothing here builds anything. What must stay out: the commands that print it (cli/), and the steps themselves (assets/).
"""
