"""Decide which variables of our environment an agent process may see. Pure: no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

MARKER_VARIABLE = "AGENT_LAB_MARKER"
SESSION_VARIABLE = "AGENT_LAB_SESSION"


@dataclass(frozen=True, slots=True)
class Rule:
    """`pattern` is a variable's name; `*` stands for any text."""

    pattern: str
    reason: str


WITHHELD = (
    Rule("JUPYTER*", "server, gateway and hub tokens; the harmless ones are not worth a list"),
    Rule("JPY_*", "cookie secrets, tokens and the parent pid of the server and the hub"),
    Rule("CONFIGPROXY_AUTH_TOKEN", "admits to the hub's proxy"),
    Rule("AGENT_LAB_*", "our address and secrets, and the marker of an agent that started us"),
    Rule("CLAUDECODE", "mark of a parent claude: its child refuses or changes behaviour"),
    Rule("CLAUDE_CODE_*", "session id, entry point and descriptors of a parent claude"),
    Rule("CLAUDE_AGENT_SDK_*", "mark of a parent program that drives claude"),
    Rule("CLAUDE_PID", "pid of a parent claude"),
    Rule("CLAUDE_EFFORT", "state of a parent claude's turn"),
    Rule("CLAUDE_ENV_FILE", "file that a parent claude's hooks write for its own commands"),
    Rule("CLAUDE_PROJECT_DIR", "workspace of a parent claude"),
    Rule("CLAUDE_PLUGIN_*", "plugin that a parent claude ran"),
    Rule("AI_AGENT", "name of a parent agent"),
)

# Exceptions to WITHHELD: what a person or an administrator sets, and a parent claude does not.
KEPT = (
    Rule("CLAUDE_CODE_USE_*", "chooses the provider"),
    Rule("CLAUDE_CODE_SKIP_*_AUTH", "a gateway signs the requests instead"),
    Rule("CLAUDE_CODE_OAUTH_TOKEN", "signs the person in"),
    Rule("CLAUDE_CODE_API_KEY_HELPER_TTL_MS", "belongs to the person's key program"),
    Rule("CLAUDE_CODE_CLIENT_CERT", "mutual TLS of an organisation"),
    Rule("CLAUDE_CODE_CLIENT_KEY", "mutual TLS of an organisation"),
    Rule("CLAUDE_CODE_CLIENT_KEY_PASSPHRASE", "mutual TLS of an organisation"),
    Rule("CLAUDE_CODE_CERT_STORE", "certificates of an organisation's proxy"),
    Rule("CLAUDE_CODE_PROXY_RESOLVES_HOSTS", "proxy of an organisation"),
    Rule("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "limit that the provider's model may need"),
    Rule("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "a wish for privacy"),
    Rule("CLAUDE_CODE_ENABLE_TELEMETRY", "an organisation's own monitoring"),
)


def child_environment(
    parent: Mapping[str, str], *, marker: str, session_id: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """The environment of an agent: `parent` less WITHHELD, our two marks, and `extra`, which wins.

    `marker` names one launch, so that the sweep after one agent never meets its successor.
    """
    marks = {MARKER_VARIABLE: marker, SESSION_VARIABLE: session_id}
    return {**visible_environment(parent), **marks, **extra}


def visible_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """`parent` less WITHHELD: what any program of an agent may see."""
    return {name: value for name, value in parent.items() if _may_see(name)}


def _may_see(name: str) -> bool:
    return _named_in(KEPT, name) or not _named_in(WITHHELD, name)


def _named_in(rules: tuple[Rule, ...], name: str) -> bool:
    return any(fnmatchcase(name, rule.pattern) for rule in rules)
