"""Judged runs in; series and trends over past runs out."""
