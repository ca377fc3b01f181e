"""What is true now: as a value, on a terminal and as a page."""
