"""base owns time, identifiers, records, errors, the kernel decorator and latency histograms.

It never knows a market, an order or a process; everything above may import it, it imports nothing of Tercel. Start in `records`.
"""
