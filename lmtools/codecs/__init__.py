"""One codec per wire dialect, each pure functions in pairs; see ``codecs.base``."""
