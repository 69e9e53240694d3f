"""Requests for images, containers and cleanups in; the engine's answers out.

The only package that uses the Docker SDK.
"""
