"""The web server of `tac ui`: who may ask it what, who owns it, how it starts and ends. Its pages are Dagster's own."""
