"""Sessions without a server: the same Manager on a thread of whatever process asks for it."""
