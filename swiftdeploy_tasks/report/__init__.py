"""What does the history say to somebody who was not there?

One reading of the records becomes a `Story` (`telling`), and each form of the report is written from that
same value. Stands apart from the history, which proves and does not interpret. It reads no file.
"""
