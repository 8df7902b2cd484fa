"""In place of the proxy's process: it starts well, and dies in the middle of the second thing that it says."""

from __future__ import annotations

import os
import struct
import sys
from multiprocessing.connection import Connection

from integrity.faults.network.exchange import Done

if __name__ == "__main__":
    channel = Connection(int(sys.argv[2]))
    channel.send(Done(0))
    os.write(channel.fileno(), struct.pack("!i", 1000) + b"the rest never comes")
    sys.exit("the last words")
