"""observe owns what a running trader shows and how it is told to stop: the live view, the control block, the stages and their budgets.

It never decides a trade and never makes the trader wait: a reader retries, a writer goes on. Its mapped files are memory with a name, not a
record. Start in `live` (what the trader shows), then `control` (halt, resume), then `stages` (the words and their budgets).
"""
