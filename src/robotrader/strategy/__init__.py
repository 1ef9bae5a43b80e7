"""The strategy contract, loading, and the library. Pure."""
