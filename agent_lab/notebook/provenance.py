"""The mark on a cell that an agent wrote or ran: `metadata.agent_lab`. Pure.

    {"session", "turn", "agent", "model", "at", "hash",
     "outputs": {"session", "turn", "agent", "model", "at", "execution_count"}}

`hash` is that of the source as the agent left it: another source has been edited since. `outputs`
says who made those, as long as the cell's count is still that one. Either may be missing. A person
takes the marks away with "Remove agent marks from this notebook"; nothing depends on them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from agent_lab.protocol.events import Json

KEY = "agent_lab"


def source_hash(source: str) -> str:
    """CRC-32 of the source in UTF-8, as eight hexadecimal digits: the page has to work it out in
    the middle of drawing, where there is no better one everywhere."""
    return f"{zlib.crc32(source.encode(errors='replace')):08x}"


def wrote(
    source: str, *, session: str, turn: str | None, agent: str, model: str | None, at: str
) -> Json:
    """The mark of a cell whose source this now is; for the `metadata` of a change."""
    mark = {"session": session, "turn": turn, "agent": agent, "model": model, "at": at}
    return {KEY: {**mark, "hash": source_hash(source)}}


def unmarked(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Of a cell whose source is a person's again: what says who made its outputs stays."""
    left = {name: value for name, value in metadata.items() if name != KEY}
    mark = metadata.get(KEY)
    if isinstance(mark, dict) and "outputs" in mark:
        left[KEY] = {"outputs": mark["outputs"]}
    return left


def ran(
    execution_count: int | None,
    *,
    session: str,
    turn: str | None,
    agent: str,
    model: str | None,
    at: str,
) -> Json:
    """The mark of a cell whose outputs come of this run."""
    mark = {"session": session, "turn": turn, "agent": agent, "model": model, "at": at}
    return {KEY: {"outputs": {**mark, "execution_count": execution_count}}}
