"""`python -m pennyred`."""

from pennyred.cli import main

if __name__ == "__main__":
    main()
