"""The docker engine: containers on this host, through compose."""
