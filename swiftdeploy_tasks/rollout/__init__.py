"""A change of what runs: planned, asked about, executed, watched and undone."""
