"""How fast tinytensor is beside its peers: `make bench`, or `python -m benchmarks --help`.

`rows` says what is measured, `work` does it in tinytensor or torch, `peers` in other libraries;
`worker` is one library in a process of its own, `harness` times workers against each other, and
`report` makes table, verdict, JSON and plot of it.
"""
