"""The command line: serve, demo, keys, audit, settings. One file each; a mistake is one clear line and status 2."""
