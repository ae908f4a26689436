"""The one exception that the command line shows as a single line."""


class UserError(Exception):
    """Bad input or a bad setting. The message is one line that names the flag or the file and the mend."""


def first_line(problem: BaseException) -> str:
    """The first line of an error's message, or its type where it has none: to be quoted in a ``UserError``."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
