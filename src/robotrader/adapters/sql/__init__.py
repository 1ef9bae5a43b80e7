"""The journal in a SQL database: one writer, many readers, append-only, every row chained to the one before."""
