"""What ends a start."""


class StartError(Exception):
    """The gateway cannot start. The message says why."""
