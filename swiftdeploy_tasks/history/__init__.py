"""The history: records in a hash chain, appended, rotated and verified."""
