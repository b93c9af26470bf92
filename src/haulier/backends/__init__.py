"""Storage destinations: the contract in :mod:`haulier.backends.api`, and the ones that come with the core."""
