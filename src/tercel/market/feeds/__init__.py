"""feeds owns where market records come from, one face for all: recorded history, a simulated market, live venues.

A feed never reads a clock (the caller passes `now_ns`, or the clock itself), never sorts across feeds, never knows a strategy or an order.
Start in `base` (the face and the pacing), then `merge` (several partitions into one order), `replay` and `simulator`. A live venue: `live`
(the feed), `session` (sockets and snapshots), `live_venues` (which there are); their decoders are pure, as in `binance`.
"""
