"""The whole way once, on data that needs no download, with a report to look at."""
