"""The judged run in; tables, pages and files for people and programs out."""
