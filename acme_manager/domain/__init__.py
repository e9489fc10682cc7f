"""Values and decisions. No clock, no network, no Trio: everything here is a function of its arguments."""
