"""The manifest: read with its line numbers, validated, given its defaults, and edited in place."""
