"""What claude reports, put into sentences for a person, with the next step. Pure."""

from __future__ import annotations

import json

from agent_lab.agents.adapters.claude_lines import as_number
from agent_lab.protocol.events import (
    Json,
    Model,
    Notice,
    SessionUpdated,
    SlashCommand,
    TurnError,
)

MODES = ("default", "acceptEdits", "plan", "dontAsk", "auto")
"""Permission modes that `set_permission_mode` takes without having been launched for it."""


def offers(payload: dict[str, Json]) -> SessionUpdated:
    models = tuple(
        Model(
            str(model["value"]),
            str(model.get("displayName") or model["value"]),
            tuple(str(level) for level in model.get("supportedEffortLevels") or ()),
        )
        for model in payload["models"]
        if isinstance(model, dict)
    )
    efforts = max((model.efforts for model in models), key=len, default=())
    return SessionUpdated(
        models=models,
        efforts=efforts,
        permission_modes=MODES,
        commands=tuple(
            SlashCommand(
                str(command["name"]),
                str(command.get("description") or "").split("\n", 1)[0][:200],
                str(command.get("argumentHint") or "")[:100],
            )
            for command in payload["commands"]
            if isinstance(command, dict)
        ),
    )


def retry_notice(line: dict[str, Json]) -> Notice:
    status, attempt = line.get("error_status"), line.get("attempt")
    delay = as_number(line.get("retry_delay_ms"))
    wait = "" if delay is None else f" Next try in {max(1, round(delay / 1000))} s."
    what = _STATUS_WORDS.get(status if isinstance(status, int) else None, "The model gave an error")
    number = f" ({status})" if status else ""
    text = f"{what}{number}. Try {attempt} of {line.get('max_retries')} failed.{wait}"
    return Notice(level="warning", code="api_retry", text=text, key="retry")


_STATUS_WORDS: dict[int | None, str] = {
    None: "The model cannot be reached",
    401: "The sign-in was not accepted",
    403: "The account may not use this",
    429: "The account's rate limit is reached",
    500: "The model's server failed",
    529: "The model is overloaded",
}


def api_error(kind: str, status: Json, ended: str, said: str) -> TurnError:
    """A failed turn as a sentence and a next step. `kind` is claude's own (`authentication_failed`,
    `rate_limit`, `overloaded`, `server_error`, `invalid_request`, `model_not_found`, …)."""
    low = said.lower()
    if kind == "authentication_failed" or "not logged in" in low or status == 401:
        text = (
            "claude is not signed in, or its key is not accepted. Sign in with `claude /login` in "
            "the terminal (or check ANTHROPIC_API_KEY), then try again."
        )
        return TurnError(text, "agent_not_signed_in", True, said)
    if ended == "prompt_too_long" or "prompt is too long" in low:
        text = "The conversation no longer fits the model. Send /compact, or start a new session."
        return TurnError(text, "context_full", False, said)
    if ended == "budget_exhausted":
        text = "The agent's budget for this session is spent. Raise it to go on."
        return TurnError(text, "budget_exhausted", False, said)
    if kind == "rate_limit" or status == 429:
        text = "The account's rate limit is reached. Wait a little, then try again."
        return TurnError(text, "rate_limited", True, said)
    if kind == "overloaded" or status == 529:
        text = "The model is overloaded. What it had done stays; try again in a moment."
        return TurnError(text, "overloaded", True, said)
    if kind == "model_not_found" or status == 404:
        text = "The chosen model does not exist or is not yours to use. Choose another model."
        return TurnError(text, "model_not_found", False, said)
    if status == 403:
        text = "The account may not use this model. Choose another model or account."
        return TurnError(text, "forbidden", False, said)
    if status == 413:
        text = "The message is too large for the model. Send less, or smaller images."
        return TurnError(text, "too_large", False, said)
    if ended == "image_error":
        text = "The model could not read an image. Remove it and send again."
        return TurnError(text, "invalid_image", False, said)
    if kind == "invalid_request" or status == 400:
        text = "The model refused the request as invalid. Change the message and try again."
        return TurnError(text, "invalid_request", False, said)
    if "connect" in low or "econnrefused" in low or "network" in low:
        text = "The model cannot be reached. Check the network and the API address, then try again."
        return TurnError(text, "unreachable", True, said)
    text = "The agent could not finish. What it had done stays; try again."
    return TurnError(text, kind or "agent_error", True, said)


def words_of(content: Json) -> str:
    if isinstance(content, str):
        return content
    return "".join(
        str(block.get("text", ""))
        for block in (content if isinstance(content, list) else ())
        if isinstance(block, dict) and block.get("type") == "text"
    )


def text_block(content: Json) -> dict[str, Json]:
    return {"type": "text", "text": content if isinstance(content, str) else ""}


def sentence_of(line: dict[str, Json]) -> str:
    for key in ("content", "message", "text"):
        value = line.get(key)
        if isinstance(value, str):
            return value
    left = {k: v for k, v in line.items() if k not in ("type", "subtype", "uuid", "session_id")}
    return json.dumps(left)[:500]
