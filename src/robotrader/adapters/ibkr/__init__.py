"""Interactive Brokers: ib_async as transport and decoder, everything else is ours.

`connection` owns the socket, `wrapper` takes what arrives, `translate` turns ib_async's objects into plain
values and back, `interpreter` turns journaled messages into events; `broker` and `feed` are the two ports.
"""
