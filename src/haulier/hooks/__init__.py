"""Extension points: the page for plugin authors is :mod:`haulier.hooks.spec`."""
