"""General helpers: text, files, processes, digests.

Plain values in and out; nothing here knows of matrices or cells.
"""
