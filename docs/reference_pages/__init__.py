"""Code in; the generated tables of the reference pages out, as Markdown."""
