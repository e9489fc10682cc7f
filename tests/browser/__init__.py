"""People with browsers at a running cluster. It is a package so that cluster and browser end with its last test."""
