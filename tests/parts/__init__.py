"""Test parts: real servers and browsers that the tests use, each started here and stopped by its own process id."""
