"""Helpers without knowledge of the domain: text, files, processes, digests."""
