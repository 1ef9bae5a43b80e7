"""`python -m robotrader`: the same as the `robotrader` command."""

from robotrader.cli.main import main

if __name__ == "__main__":
    main()
