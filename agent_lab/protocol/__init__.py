"""What crosses a process boundary: events, commands, errors, and the fold of a log. Pure."""
