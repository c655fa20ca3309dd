"""cli owns the words typed at a prompt: one file per verb, found by name in `main.VERBS` and loaded when it is used.

It never decides anything about trading: a verb reads its arguments, calls the package that does the work and prints the answer.
Start in `main`.
"""
