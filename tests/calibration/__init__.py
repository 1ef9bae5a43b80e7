"""Do the statistics hold what they promise? Each promise is tried on fixed seeds, and can fail."""
