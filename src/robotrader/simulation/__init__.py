"""A simulated world: a venue, its costs, and a gateway that speaks IBKR's protocol."""
