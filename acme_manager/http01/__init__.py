"""http-01 answers that a web server of others gives: where they are put for it, and taken away again."""
