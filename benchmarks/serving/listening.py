"""How the two hand-started servers of this benchmark listen: one uvicorn process with uvloop and httptools."""

import argparse
from contextlib import suppress

import uvicorn
from fastapi import FastAPI


def listen(app: FastAPI, about: str | None) -> None:
    """Serve on loopback at the port of the command line, without an access log, until SIGINT."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended in order
        uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
