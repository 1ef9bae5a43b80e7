"""The command line: thin. Each module imports what it needs inside its commands, so that help comes at once."""
