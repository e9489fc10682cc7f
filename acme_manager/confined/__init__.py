"""Run a foreign program so that exactly the file that was checked runs, and nothing of it outlives the call."""
