"""One invocation: the task class, the lock, the console and the JSON document."""
