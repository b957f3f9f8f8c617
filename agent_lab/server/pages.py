"""The pages for a browser without JupyterLab: a shell around our bundle, and its manifest.

The page's data come over the REST routes and the WebSockets, with the login cookie of the browser.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from pathlib import Path

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from agent_lab.server.routes import pattern
from agent_lab.server.version import version
from agent_lab.server.words import Words, chosen

SESSIONS = "agent-lab/sessions"
SESSION = "agent-lab/sessions/{session_id}"
MANIFEST = "agent-lab/manifest.webmanifest"
ANSWERS = "agent-lab/answers.js"
"""The service worker of our notifications. Its place is its scope: JupyterLab has another."""
STATIC = "static/agent_lab/"
"""Served by jupyter_server without a login: nothing of a person's is in there."""
NAME = "Agent Lab"
LIGHT, DARK = "#ffffff", "#212121"
_HOST = re.compile(r"[\w.\-\[\]:]+\Z")

# The config is data, not a script: a browser does not run it, so the policy need not allow it.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<meta name="theme-color" media="(prefers-color-scheme: light)" content="{light}">
<meta name="theme-color" media="(prefers-color-scheme: dark)" content="{dark}">
<meta name="referrer" content="no-referrer">
<link rel="manifest" href="{manifest}" crossorigin="use-credentials">
<link rel="icon" type="image/svg+xml" href="{static}icon.svg">
<link rel="apple-touch-icon" href="{static}icon-192.png">
<link rel="stylesheet" href="{static}page.css?v={version}">
<script id="jupyter-config-data" type="application/json">{config}</script>
<script type="module" src="{static}page.js?v={version}"></script>
</head>
<body><noscript>{title} needs JavaScript.</noscript></body>
</html>
"""  # noqa: E501


class _Page(JupyterHandler):
    auth_resource = "agent_lab"

    @property
    def content_security_policy(self) -> str:
        """Only our own scripts, none in the page; pictures from elsewhere load after a click."""
        host = self.request.host if _HOST.match(self.request.host) else ""
        sockets = f" ws://{host} wss://{host}" if host else ""  # 'self' is not enough for Safari
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob: https:",
                "font-src 'self' data:",
                f"connect-src 'self'{sockets}",
                "manifest-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'self'",
            )
        )


class SessionsPage(_Page):
    """The list, and a session beside it or, on a phone, in its place: which one, the script reads
    from the address."""

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """An address that is no UTF-8 names no session: the page says so, where tornado's answer
        would be an empty one."""
        return value.decode(errors="replace")

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]  # it tells no types
    async def get(self, session_id: str = "") -> None:
        self.xsrf_token  # noqa: B018 - sets the cookie that the script sends back
        base: str = self.base_url
        reader = await self._language()
        said = {"baseUrl": base, "locale": reader.locale, "words": reader.catalogue}
        config = json.dumps(said).replace("<", "\\u003c")
        self.set_header("Cache-Control", "no-cache")
        self.finish(
            _PAGE.format(
                title=NAME,
                light=LIGHT,
                dark=DARK,
                manifest=html.escape(base + MANIFEST),
                static=html.escape(base + STATIC),
                version=_built(),
                config=config,
            )
        )

    async def _language(self) -> Words:
        """What is chosen in the JupyterLab of this server, where there is one."""
        assert self.serverapp is not None
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                folder = getattr(app, "user_settings_dir", "")
                if folder:
                    return await asyncio.to_thread(chosen, Path(folder))
        return Words()


class Manifest(_Page):
    """What makes the page installable as a web app."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]  # as above
    def get(self) -> None:
        base: str = self.base_url
        icons = [
            {"src": f"{base}{STATIC}icon.svg", "sizes": "any", "type": "image/svg+xml"},
            *(
                {
                    "src": f"{base}{STATIC}icon-{size}.png",
                    "sizes": f"{size}x{size}",
                    "type": "image/png",
                    "purpose": purpose,
                }
                for size in (192, 512)
                for purpose in ("any", "maskable")
            ),
        ]
        said = {
            "id": base + SESSIONS,
            "name": NAME,
            "short_name": NAME,
            "description": "Coding agents beside live notebooks.",
            "start_url": base + SESSIONS,
            "scope": base + "agent-lab/",
            "display": "standalone",
            "background_color": LIGHT,
            "theme_color": LIGHT,
            "icons": icons,
        }
        self.set_header("Content-Type", "application/manifest+json")
        self.finish(json.dumps(said))


class Answers(_Page):
    """The service worker's script, for whoever may see the pages."""

    @web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]  # as above
    def get(self) -> None:
        self.set_header("Content-Type", "text/javascript")
        self.set_header("Cache-Control", "no-cache")
        self.finish((Path(__file__).parents[1] / "static" / "answers.js").read_bytes())


def _built() -> str:
    """Another address after each build, so that a page never mixes two of them."""
    file = Path(__file__).parents[1] / "static" / "page.js"
    try:
        return f"{version()}-{file.stat().st_mtime_ns:x}"
    except OSError:
        return version()


def handlers() -> list[tuple[str, type[_Page]]]:
    return [
        (pattern(SESSIONS), SessionsPage),
        (pattern(SESSION), SessionsPage),
        (pattern(MANIFEST), Manifest),
        (pattern(ANSWERS), Answers),
    ]
