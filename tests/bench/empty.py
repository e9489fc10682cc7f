"""The yardstick of `scripts/bench api`: a handler that does nothing, with Quart-Trio and Hypercorn as they come."""

from __future__ import annotations

import sys

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.get("/")
async def nothing() -> str:
    """An empty answer."""
    return ""


if __name__ == "__main__":
    config = Config()
    config.bind = [sys.argv[1]]
    trio.run(serve, app, config)
