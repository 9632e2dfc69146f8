# SPDX-License-Identifier: Apache-2.0
"""The server of the rating app: on this machine's own address alone."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from bidsqa.errors import UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOST = "127.0.0.1"
GOODBYE_SECONDS = 3
WAITING = 128


class Place:
    """Where the app listens; the port is taken before an address is printed.

    Parameters
    ----------
    port : int or None
        A free one if None.

    Raises
    ------
    UsageError
        The port is taken.
    """

    def __init__(self, port: int | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # a port that a killed server has just left can be taken again
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.socket.bind((HOST, port or 0))
            # who opens the address before the server is ready waits instead of being refused
            self.socket.listen(WAITING)
        except OSError as error:
            self.socket.close()
            raise UsageError(f"--port {port} can't be used: {error.strerror}.", "Give another, or none.") from error
        self.port = int(self.socket.getsockname()[1])

    def address(self, token: str) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.port}/?token={token}"


def serve(app: Starlette, place: Place) -> None:
    """Serve until a signal comes, which is passed on when open requests are through."""
    import uvicorn

    logging.getLogger("uvicorn.error").addFilter(_not_of_the_end)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses hold tokens
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[place.socket])


def _not_of_the_end(record: logging.LogRecord) -> bool:
    """Pictures that are still being made when the app is stopped are no errors."""
    cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut and "timeout graceful shutdown" not in record.getMessage()
