"""Recommenders of the next film, each behind one small protocol, and their evaluation."""
