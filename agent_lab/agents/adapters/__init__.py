"""One dialect an agent speaks per file; pure."""
