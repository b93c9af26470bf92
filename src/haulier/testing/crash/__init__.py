"""The crash matrix: a manager is ended by SIGKILL at every step it passes, started again, and judged from outside.

A *step* is a call through a port, before it and after it, see :class:`haulier.testing.steps.StepProxy`. A recording run
tells which steps a setting passes, and how often; each of them is a case. In a case a child process runs a real
:class:`~haulier.UploadManager` and is ended at that step; a second one is left to finish; then objects, sources,
receipts and events are compared with what the files held, see :mod:`haulier.testing.crash.checks`.

A destination joins by describing itself, see :class:`haulier.testing.crash.destination.Destination`. Children are
forked, so the matrix runs where there is ``os.fork``.
"""
