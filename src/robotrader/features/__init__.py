"""What is computed of prices, point in time: row t uses rows <= t only. Pure, on arrays of (n_bars, n_instruments)."""
