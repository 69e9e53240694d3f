"""GitHub: plans and judged runs in, job outputs, runner labels and issues out."""
