"""What a first turn needs, as checks with what mends each: decided from what was found. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from agent_lab.agents.registry import Agent

KernelState: TypeAlias = Literal["running", "missing", "dead"]


class Mend(Struct, frozen=True, omit_defaults=True):
    """A command for a terminal, or something that a page does; signing in is both."""

    command: str = ""
    action: Literal["", "trust", "start_kernel", "sign_in"] = ""


class Check(Struct, frozen=True):
    """`ok` None: it cannot be told from here, or does not matter."""

    id: Literal["agent", "version", "signed_in", "trust", "kernel"]
    ok: bool | None
    text: str
    mend: Mend | None = None


def checks(
    agent: Agent, files: Sequence[str], trusted: bool | None, kernel: KernelState | None
) -> list[Check]:
    """`files`: those of the folder that would run something; `trusted` None: nobody decided.

    `kernel` None: no notebook was asked about.
    """
    found = [*_of_agent(agent), _of_folder(files, trusted)]
    if kernel is not None:
        found.append(_of_kernel(kernel))
    return found


def _of_agent(agent: Agent) -> list[Check]:
    name = agent.name
    if not agent.installed:
        missing = f"{name} is not installed here, or not where the server looks for it."
        return [Check("agent", False, missing, Mend(command=agent.install))]
    found = [Check("agent", True, f"{name} is installed.")]
    if agent.problem:
        found.append(Check("version", False, agent.problem, Mend(command=agent.install)))
    else:
        found.append(Check("version", True, f"Version {agent.version} will do."))
    sign_in = Mend(command=agent.sign_in, action="sign_in")
    match agent.signed_in:
        case True:
            found.append(Check("signed_in", True, f"{name} is signed in, or has a key."))
        case False:
            found.append(Check("signed_in", False, f"{name} is not signed in.", sign_in))
        case None:
            unseen = f"Whether {name} is signed in cannot be seen from here."
            found.append(Check("signed_in", None, unseen, sign_in))
    return found


def _of_folder(files: Sequence[str], trusted: bool | None) -> Check:
    if not files:
        return Check("trust", True, "This folder has no settings that would run anything.")
    named = ", ".join(f"`{file}`" for file in files)
    match trusted:
        case True:
            return Check("trust", True, f"You trust this folder's own settings: {named}.")
        case False:
            text = f"The agent goes on without this folder's own settings: {named}."
            return Check("trust", None, text, Mend(action="trust"))
        case None:
            text = f"This folder has settings that the agent would obey: {named}."
            return Check("trust", False, text, Mend(action="trust"))


def _of_kernel(state: KernelState) -> Check:
    match state:
        case "running":
            return Check("kernel", True, "The notebook's kernel runs.")
        case "missing":
            text = "The notebook has no kernel: the agent cannot see what is in memory."
        case "dead":
            text = "The notebook's kernel has died: what was in memory is gone."
    return Check("kernel", False, text, Mend(action="start_kernel"))
