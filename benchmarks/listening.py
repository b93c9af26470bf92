"""Other services made of the server of `s3_sink`: the same reading and dropping, with other answers."""

from __future__ import annotations

import asyncio
import contextlib
import gc

from benchmarks.s3_sink import BLOCK, Connection, Store


def serve(kind: type[Connection]) -> None:
    """Serve until interrupted; the first line of output is the address."""
    gc.disable()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(kind))


async def _serve(kind: type[Connection]) -> None:
    store, block = Store(), bytearray(BLOCK)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(store, block), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()
