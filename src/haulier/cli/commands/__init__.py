"""The commands, one module each; :mod:`haulier.cli.catalog` lists them."""
