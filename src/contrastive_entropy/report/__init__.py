"""Evaluations for people: tables on a terminal, and figures."""
