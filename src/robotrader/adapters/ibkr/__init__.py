"""Interactive Brokers: ib_async as transport and decoder, everything else is ours.

`supervisor` keeps the session alive and says what it is worth (`link` judges, with `resets` and `budget`);
`connection` owns the socket (`login` opens it, `heartbeat` proves it, `sending` shapes what leaves), `wrapper` takes
what arrives, `translate` turns ib_async's objects into plain values and back, `interpreter` turns journaled messages
into events; `broker` and `feed` are the two ports.
"""
