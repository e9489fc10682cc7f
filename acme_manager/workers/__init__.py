"""Loops that run beside the API, one file each."""
