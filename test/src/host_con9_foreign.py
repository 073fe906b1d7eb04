"""The 9P server of PyPI's pyroute2 with the tree that readonly.9p asks about; the port is the argument."""

import asyncio
import sys

from pyroute2 import Plan9ServerSocket


async def main():
    server = Plan9ServerSocket(address=("127.0.0.1", int(sys.argv[1])))
    server.filesystem.create("f", data="hello")
    server.filesystem.create("d", qtype=0x80)
    server.filesystem.create("d/g")
    await (await server.async_run())


asyncio.run(main())
