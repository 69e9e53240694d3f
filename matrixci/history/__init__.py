"""In: judged runs. Out: series and trends over past runs, stored in one SQLite file."""
