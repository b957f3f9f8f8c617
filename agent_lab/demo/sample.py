"""Lay out what a demo needs on disk and in the environment: a small analysis, a claude at home."""

from __future__ import annotations

import shutil
from pathlib import Path

WORKSPACE = Path(__file__).parent / "workspace"
# The user's documentation: a wheel carries it here, a checkout has it at its top.
NOTEBOOKS = Path(__file__).parent / "notebooks"
if not NOTEBOOKS.is_dir():
    NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# Not a key: claude insists on one, the scripted model asks for none.
FAKE_KEY = "scripted-demo-model-needs-no-key"


def prepare_workspace(target: Path) -> None:
    """Copy the sample analysis and the documentation to `target`, which is made if missing.

    A file that is already there stays as it is: the person, or the agent, may have changed it.
    Raises OSError when `target` cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted((*WORKSPACE.iterdir(), *NOTEBOOKS.glob("*.ipynb"))):
        if source.is_file() and not (target / source.name).exists():
            shutil.copyfile(source, target / source.name)


def claude_environment(url: str, home: Path) -> dict[str, str]:
    """What turns a claude process to the model at `url` and away from everything else.

    `home` is a scratch folder for its settings and conversations. Lay the result over the
    environment the process would have: empty values undo a person's own account there.
    """
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": FAKE_KEY,
        "ANTHROPIC_AUTH_TOKEN": "",
        "CLAUDE_CODE_OAUTH_TOKEN": "",
        "CLAUDE_CODE_USE_BEDROCK": "",
        "CLAUDE_CODE_USE_VERTEX": "",
        "CLAUDE_CODE_USE_FOUNDRY": "",
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # a proxy of the surroundings cannot reach our loopback
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }
