"""What a class that stands for another says of what it has not got."""


class Absent:
    """Says in a sentence what a class has not got inside a job, and who has it."""

    _whole = ""
    """An expression that gives the submitting side's object."""

    def __getattr__(self, name):
        # type: (str) -> object
        if name.startswith("__"):
            raise AttributeError(name)
        sentence = "{}.{} is not available inside a job".format(type(self).__name__, name)
        if self._whole:
            sentence += ": {} has it, on the machine that submitted the run".format(self._whole)
        raise AttributeError(sentence)
