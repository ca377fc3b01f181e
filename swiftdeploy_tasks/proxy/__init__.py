"""nginx: its configuration as text, the requests that probe it, and the health of a slot behind it."""
