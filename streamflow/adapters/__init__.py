"""One thin adapter for each outside system; foreign errors are translated here."""
