"""The pure core (`trader`) and the async shell around it (`runner`, `recovery`)."""
