"""The audit report, written from the records of the history.

The records are read once into a `Story` (`telling`), and each form of the report is written from that value.
"""
