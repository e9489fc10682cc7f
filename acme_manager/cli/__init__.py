"""The command lines of both programs: flags in Go's spelling, help, exit codes."""
