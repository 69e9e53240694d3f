"""Requirements in; the lock of each cell, or the proof that there is none, out."""
