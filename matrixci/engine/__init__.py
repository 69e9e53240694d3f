"""The container engine: the only user of the Docker SDK."""
