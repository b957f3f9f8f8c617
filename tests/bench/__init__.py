"""The benchmark: each figure beside its baseline of the same run (`python -m tests.bench`)."""
