"""The audit report, written from the records of the history.

`builder` reads the records once into an `AuditReport`; `sections` and `charts` lay it out, and `markdown` and
`page` write it.
"""
