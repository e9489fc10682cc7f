"""dns-01: where a record goes, who writes it, and when the world can see it."""
