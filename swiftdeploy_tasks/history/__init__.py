"""The history: records in a hash chain, appended, rotated and verified.

Read `chain` (a record and its line), `writer` (append), `links` and `verification` (verify), then `store`.
"""
