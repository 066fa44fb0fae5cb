"""Community correction 社区矫正 for one agency: its cases, its documents, its vault, its pages.

`rules` is pure; `commands` is the only write path and builds contract calls; `projection` folds events into
rows; `store` keeps rows and cursor in one transaction; `delivery` moves sealed documents between agencies;
`pages` and `api` draw on all of it.
"""
