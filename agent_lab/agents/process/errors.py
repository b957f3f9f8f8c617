"""What can go wrong with an agent process, each as one sentence for the person at the screen."""


class AgentError(Exception):
    """Its text is one sentence for the person at the screen."""


class AgentNotFound(AgentError):
    """The program does not exist."""


class AgentStartFailed(AgentError):
    """The program exists and could not be started."""


class AgentNotReading(AgentError):
    """The message was not read in time.

    `withdrawn`: it was taken back whole, so it will never be read; else it may be, later.
    """

    def __init__(self, sentence: str, *, withdrawn: bool) -> None:
        super().__init__(sentence)
        self.withdrawn = withdrawn


class AgentGone(AgentError):
    """The process has exited, or was detached from."""


class AgentNotEnding(AgentError):
    """The process did not go even when killed."""


class LeaseHeld(AgentError):
    """Another server, or another part of this one, drives the session."""
