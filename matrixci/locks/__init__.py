"""Resolution: from the requirements of each cell to its lock.

Takes cells and a subject. Returns a lock for each cell, or the proof that there is none.
"""
