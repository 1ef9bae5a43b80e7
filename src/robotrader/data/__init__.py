"""Rules of data: shapes, quality, seeded generation. Pure; reading and writing is in `adapters`."""
