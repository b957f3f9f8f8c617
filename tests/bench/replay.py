"""Stands in for an agent at full speed: writes recorded lines of the real one at once.

`replay.py FOLDER [claude's flags]`: `hello.jsonl` answers `initialize`, `turn-N.jsonl` the Nth
prompt. Ids of the recording are exchanged for those of the session that listens.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HELLO_ID, TURN_ID = "hello", "00000000-0000-4000-8000-00000000000%d"


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def main(folder: Path) -> None:
    turn = 0
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["type"] == "user":
            recorded = (folder / f"turn-{turn}.jsonl").read_bytes()
            write(recorded.replace((TURN_ID % turn).encode(), message["uuid"].encode()))
            turn += 1
        elif message["type"] == "control_request":
            subtype, request_id = message["request"]["subtype"], message["request_id"]
            if subtype == "initialize":
                hello = (folder / "hello.jsonl").read_bytes()
                write(hello.replace(b'"%b"' % HELLO_ID.encode(), b'"%b"' % request_id.encode()))
            elif subtype == "end_session":
                return
            else:
                response = {"subtype": "error", "request_id": request_id, "error": "a recording"}
                write(json.dumps({"type": "control_response", "response": response}).encode())
                write(b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
