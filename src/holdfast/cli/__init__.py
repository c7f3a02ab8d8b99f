"""The command line: serve, demo, keys, settings. Each command is one file; a mistake is one clear line and status 2."""
