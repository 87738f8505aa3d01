"""What can be wrong with data."""

from madnas.errors import MadnasError


class DataError(MadnasError):
    """Data that is missing, broken, or not what it should be."""

    exit_code = 5
