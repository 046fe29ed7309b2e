"""The terminal: what is drawn on it while a run goes on, and what Ctrl-C does. Imported before anything heavy."""
