"""SAR-KnowLIP: georeferenced radar scenes into a described, searchable, question-answerable archive."""

__version__ = "0.1.0"
