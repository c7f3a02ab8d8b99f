"""Holdfast keeps connected accounts: an app asks for a token and always gets a live one."""

__version__ = "0.1.0"
