"""Where components run: one protocol, one folder for each engine, and the registry that chooses one.

Nothing outside the registry compares an engine's name.
"""
