"""The benchmark: token reads beside what the same server does without us, in the same run.

`python -m bench` starts real server processes, seeds a database, and loads them with wrk from another core. Each figure
is the median of several runs; each has a ceiling, a bare ASGI handler that reads the same request and sends the same
bytes from the same server, measured between the runs so that both meet the same noise.
"""
