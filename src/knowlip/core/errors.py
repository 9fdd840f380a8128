"""Errors written for the person who meets them: what was wrong, in which file, what to do."""

from __future__ import annotations


class KnowlipError(Exception):
    """Something a person can mend; a command shows it as one line and exits with code 2.

    Args:
        subject: The file, folder or option that is at fault.
        reason: What is wrong with it.
        remedy: What to do about it.
    """

    def __init__(self, subject: object, reason: str, remedy: str) -> None:
        self.subject = _text(str(subject)).replace("\n", " ")
        self.reason, self.remedy = " ".join(_text(reason).split()), remedy
        super().__init__(f"{self.subject}: {self.reason}. {self.remedy}")

    def __reduce__(self) -> tuple[type[KnowlipError], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error survives the way back from a worker process."""
        return type(self), (self.subject, self.reason, self.remedy)


def _text(words: str) -> str:
    # a file name that is not UTF-8 must not break the log or the table it is listed in
    return words.encode("utf-8", "replace").decode()


class SceneError(KnowlipError):
    """A scene that cannot be read, or cannot be understood without more information."""


class CorpusError(KnowlipError):
    """A folder that is not a usable corpus, or not the one that was asked for."""


class OutputError(KnowlipError):
    """A place that cannot be written."""


class ConfigError(KnowlipError):
    """An option or configuration value that is not allowed."""


class ModelError(KnowlipError):
    """A model folder that cannot be loaded, or does not fit the data."""
