"""journal owns what outlives a process: the input log (what came in), the journal (what must survive) and snapshots (a cache of state).

It never interprets what it stores: it knows 64-byte records, entries of bytes and named arrays, nothing of trading, and it never decides
whether a session may go on; it raises `JournalError`, which means "stop trading".

Start in `journal` (the promise and the writer), then `segment` (the bytes on disk and how a torn tail is told from damage) and `reader`
(how another process follows). `input_log`, `snapshots` and `entries` (what the trader puts into the journal) stand alone.
All three kinds of file may share one folder, and each writer takes its own lock there.
"""
