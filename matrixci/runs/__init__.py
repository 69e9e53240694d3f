"""In: results of cells, locks and checks. Out: the files of a run, written and read back."""
