"""The kernel bond, server side: what is in memory, and what runs."""
