"""Hostile words in every field that reaches the page: inert, and no request leaves."""
