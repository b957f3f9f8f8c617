"""What an agent sees of our environment (a real child prints its own)."""

import json
import subprocess
import sys

import pytest

from agent_lab.agents.environment import KEPT, WITHHELD, child_environment

WITHHELD_EXAMPLES = [
    "JUPYTER_TOKEN",
    "JUPYTERHUB_API_TOKEN",
    "JUPYTERHUB_USER",
    "JUPYTER_GATEWAY_AUTH_TOKEN",
    "JPY_API_TOKEN",
    "JPY_COOKIE_SECRET",
    "JPY_PARENT_PID",
    "CONFIGPROXY_AUTH_TOKEN",
    "AGENT_LAB_KERNEL_SECRET",
    "AGENT_LAB_URL",
    "CLAUDECODE",
    "CLAUDE_PID",
    "CLAUDE_EFFORT",
    "CLAUDE_ENV_FILE",
    "CLAUDE_PROJECT_DIR",
    "CLAUDE_PLUGIN_ROOT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_AGENT_SDK_VERSION",
    "AI_AGENT",
]
SEEN_EXAMPLES = [
    "PATH",
    "HOME",
    "LANG",
    "VIRTUAL_ENV",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "AWS_PROFILE",
    "AWS_REGION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUD_ML_REGION",
    "HTTPS_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "JUPYTE",
    "MY_JUPYTER_TOKEN",
]


def environment(*names: str, **extra: str) -> dict[str, str]:
    parent = {name: f"value of {name}" for name in names}
    return child_environment(parent, marker="m-1", session_id="s-1", extra=extra)


@pytest.mark.parametrize("name", WITHHELD_EXAMPLES)
def test_withheld(name: str) -> None:
    assert name not in environment(name)


@pytest.mark.parametrize("name", SEEN_EXAMPLES)
def test_seen(name: str) -> None:
    assert environment(name)[name] == f"value of {name}"


def test_every_rule_has_a_reason() -> None:
    assert all(rule.pattern and rule.reason for rule in WITHHELD + KEPT)


def test_marks_replace_those_of_an_outer_agent() -> None:
    seen = environment("AGENT_LAB_MARKER", "AGENT_LAB_SESSION")
    assert seen == {"AGENT_LAB_MARKER": "m-1", "AGENT_LAB_SESSION": "s-1"}


def test_extra_wins_and_may_add_what_is_withheld() -> None:
    seen = environment(
        "PATH", "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", PATH="/opt", CLAUDE_CODE_X="1"
    )
    assert seen["PATH"] == "/opt"
    assert seen["CLAUDE_CODE_X"] == "1"
    assert "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS" not in seen


def test_the_parent_is_not_changed() -> None:
    parent = {"JUPYTER_TOKEN": "t"}
    child_environment(parent, marker="m", session_id="s", extra={})
    assert parent == {"JUPYTER_TOKEN": "t"}


def test_a_real_child() -> None:
    seen = environment("JUPYTER_TOKEN", "ANTHROPIC_API_KEY")
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    output = subprocess.run(
        [sys.executable, "-c", program], env=seen, capture_output=True, check=True, text=True
    ).stdout
    printed = json.loads(output)
    assert "JUPYTER_TOKEN" not in printed
    assert printed["ANTHROPIC_API_KEY"] == "value of ANTHROPIC_API_KEY"
    assert printed["AGENT_LAB_MARKER"] == "m-1"
    assert printed["AGENT_LAB_SESSION"] == "s-1"
