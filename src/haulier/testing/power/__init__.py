"""Power cuts: file operations are recorded, and the disks that a cut at any point could leave are built and checked.

:mod:`.recorder` takes down what programs ask of the operating system (:mod:`.calls`) and what SQLite does
(:mod:`.sqlite`). :mod:`.disk` keeps apart what is synced and what is not; :mod:`.survival` says what of the rest a cut
leaves. :mod:`.story` is the whole way of a file under one recorder, :mod:`.checks` what must hold after a cut, and
:mod:`.runner` goes through points and seeds.
"""
