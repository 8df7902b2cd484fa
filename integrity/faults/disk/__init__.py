"""Faults of a broker's disk: everything here changes files of a broker that is down, and only those.

``own_files`` lends the data directory of a broker of this run and refuses any other; ``segments`` reads what the
files hold, ``checkpoints`` what the broker noted about them; ``power`` takes away what was not flushed, ``damage``
breaks single files, ``replacement`` leaves a disk on which nothing is.
"""

from integrity.faults.disk.files import DataFiles, own_files

__all__ = ["DataFiles", "own_files"]
