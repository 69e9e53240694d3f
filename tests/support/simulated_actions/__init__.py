"""A small GitHub Actions: workflow files as they are, on this machine; what it can't do fails."""
