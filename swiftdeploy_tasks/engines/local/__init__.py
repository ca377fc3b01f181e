"""The local engine: processes on 127.0.0.1."""
