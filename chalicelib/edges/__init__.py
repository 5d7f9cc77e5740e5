"""Does. Each module is the only user of its library."""
