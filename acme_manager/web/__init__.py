"""The web UI: pages made here, with nothing that comes from another host, and nothing that needs a script."""
