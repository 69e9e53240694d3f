"""Runs checks in a container: images and checks in, attested results (evidence) out."""
