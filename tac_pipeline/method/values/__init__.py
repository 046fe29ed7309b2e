"""The fixed numbers of each method: what a settings file does not offer. Nothing here looks at vectors."""
