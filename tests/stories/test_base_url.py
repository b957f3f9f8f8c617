"""The main path once under the address of one user of a hub."""
