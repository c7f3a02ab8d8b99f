"""The first schema, by the rooms whose tables they are; `versions/v0001.py` makes it."""
