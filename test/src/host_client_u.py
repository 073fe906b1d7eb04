# The tree in memory of the package aio9p, which speaks 9P2000.u, on the Unix socket that is named.
import asyncio
import logging
import sys

from aio9p.example import example_server
from aio9p.example.simple_u import Simple9P2000u

asyncio.run(example_server(logging.getLogger("aio9p"), Simple9P2000u, sockpath=sys.argv[1]))
