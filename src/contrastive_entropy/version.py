"""The version of the package, by itself so that every layer may read it."""

VERSION = "0.1.0"
