"""Locks and base images in; cell images out, with their bills of materials."""
