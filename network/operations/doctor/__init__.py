"""`shelian doctor`: what keeps a node from running well, and what to do about it.

    examine (reads files, ports, /proc, tries connections; changes nothing)  ->  Examination
        -> checks (pure)  ->  one result a check: in order, or findings with remedies

It works for a node that runs, whose own findings it takes over, and for one that does not: then it opens the
ledger itself, as `shelian check` does.
"""
