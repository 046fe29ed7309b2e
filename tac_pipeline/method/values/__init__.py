"""The fixed numbers of each method, which a settings file does not offer. What must stay out: vectors."""
