"""risk owns limits, the checks before an order, and the kill switch.

It never sends and never decides what to trade. Every denial has a stable code (`tercel.base.codes`). Start in `limits`, then `kernels`.
"""
