"""Configuration: read once at the edge, typed, and complete; the inside gets values."""
