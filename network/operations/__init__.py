"""What an operator looks at: a node's figures, gathered in one place, and what is wrong with it.

    readings (ledger, engine, pool, disk, /proc, files)  ->  facts (pure)  ->  findings (pure)
        -> status page, /status.json, /metrics, /healthz, /readyz        (`port`)
        -> shelian node status, shelian doctor                            (cli)

* **One place.** `facts.NodeFacts` is what everything shows; who shows it adds nothing.
* **Nothing runs while nobody asks**, but for counters at each commit (`activity`, `timings`) and a note of
  the disk's size now and then (`growth`). Gathering has a thread of its own; a ledger that does not answer
  leaves the last facts standing, marked as old, and the port itself answers on.
* **Bounded.** The last 100 blocks are looked at, each once; directories are measured at most once a minute.
"""
