"""What stands before or in the way of an agent: an untrusted folder, no program, a refused key."""
