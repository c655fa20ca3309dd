"""execution owns the life of an order: its states, the modelled venue, and later the real ones.

It never decides whether an order is allowed. Start in `lifecycle` (the table), then `kernels` (the venue model), `venue` (its
configuration).
"""
