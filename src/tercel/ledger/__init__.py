"""ledger owns positions, cash and P&L.

It never decides and never sends. The core keeps int64 micro-units per currency (`kernels`); `book` recomputes the same from the fills in
Python integers, and equality is an invariant that every driver checks.
"""
