"""The command that starts the server."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from tests.parts.odd_server import http, stdio
from tests.parts.odd_server.ledger import Ledger
from tests.parts.odd_server.server import OddServer
from tests.parts.odd_server.wire import Era

ERAS: dict[str, tuple[Era, ...]] = {"legacy": ("legacy",), "modern": ("modern",), "both": ("modern", "legacy")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="odd_server")
    parser.add_argument("--era", choices=ERAS, default="both", help="which revisions it speaks")
    parser.add_argument("--http", action="store_true", help="HTTP on 127.0.0.1 instead of stdio; prints the URL")
    parser.add_argument("--port", type=int, default=0, help="with --http; 0: a free one")
    parser.add_argument("--ledger", type=Path, help="append what is executed to this file, synced, before it is done")
    parser.add_argument("--page", type=int, default=7, help="tools on one page of the list")
    options = parser.parse_args()
    server = OddServer(ERAS[options.era], Ledger(options.ledger), options.page)
    asyncio.run(http.serve(server, options.port) if options.http else stdio.serve(server))


if __name__ == "__main__":
    main()
