"""Whether a letter may come in: what each recipient's rules say, who wants it, which stamps hold."""
