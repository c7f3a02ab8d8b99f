"""Faults: what the server must survive, done to real server processes and judged by an independent token server.

Each test is one fault with its figures. The short form runs with all other tests; HOLDFAST_FAULTS=long (`make faults`)
does the same in earnest. Figures go to build/faults.json, see docs/faults.md.
"""
