"""api owns the desk process: the page, the REST interface and the WebSocket stream over what the trader shows.

It never talks to the trader except by reading the live view and the journal, and by asking through the control block; it holds no state
that cannot be read again. Start in `desk` (routes and process), then `board` (what is known now), `stream` (who is told what changed).
"""
