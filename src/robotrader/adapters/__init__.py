"""All I/O, nothing clever: each adapter implements one port."""
