"""decision owns how a signal becomes a sized target: rules, thresholds, sizing, and strategies written in Python.

It never checks a limit and never sends. Start in `rules` (what a user configures), `strategy` (the Python door), `kernels` (the
arithmetic).
"""
