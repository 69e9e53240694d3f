"""Helpers of the checks; pytest collects no check from this folder."""
