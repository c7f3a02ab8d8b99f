"""The benchmark: what Holdfast does in a second, beside what the same machine does without us, in the same run.

`python -m bench` starts real server processes, seeds real databases through the vault, and loads them from another
core. Each figure is the median of several runs; each has a ceiling that is measured between the runs, so that both meet
the same noise. `plan` says how long and how often, a file for each concern measures (`reads`, `refreshes`, `sweep`,
`scale`, `footprint`), `report` writes build/bench.json and the section of docs/performance.md. A request that is not
answered with a live token makes the run fail.
"""
