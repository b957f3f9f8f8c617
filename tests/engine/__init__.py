"""Processes without any server: a terminal, a script, a kernel that nobody but a client knows."""
