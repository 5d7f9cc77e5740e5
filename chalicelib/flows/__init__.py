"""Each module is one flow: it reads through its ports, lets the core decide, and acts."""
