"""The reports of a judged run: siblings that read a `Report` and nothing else."""
