"""The command line: serve, demo, keys, audit, settings. Each command is one file; a mistake is one clear line and status 2."""
