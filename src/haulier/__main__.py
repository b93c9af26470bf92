"""``python -m haulier`` is the command ``haulier``."""

from haulier.cli import main

if __name__ == "__main__":
    main()
