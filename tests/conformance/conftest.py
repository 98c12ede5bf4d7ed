"""A receiver for all tests of a module."""

from tests.outside.conftest import receiver

__all__ = ["receiver"]
