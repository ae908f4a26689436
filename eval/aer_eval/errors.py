"""The one exception that the command line shows as a single line."""


class UserError(Exception):
    """Bad input or a bad setting. The message is one line that names the flag or the file and the mend."""
