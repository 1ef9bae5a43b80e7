"""The only way to a broker: limits, one pure function per check, the gate, and trading states."""
