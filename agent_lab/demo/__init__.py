"""The embedded scripted model with its sample workspace: a real claude, no account, no network."""
