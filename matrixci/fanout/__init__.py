"""Runs on several machines: a matrix in, a plan, its cells and one merged run out."""
