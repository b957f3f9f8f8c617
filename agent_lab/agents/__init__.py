"""The far side: external agent programs, their bytes and their dialects."""
