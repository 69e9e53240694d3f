"""Locks in; images that containers can be started from out."""
