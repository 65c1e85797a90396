"""What the store can fail with."""


class StoreUnavailable(Exception):
    """The store did not answer in time, or refused: nothing is known, and nothing is certain.

    Never "the session does not exist": callers answer 503, not 401.
    """
