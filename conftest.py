"""For every test of the repository: assertions in the shipped suites say what they compared."""

import pytest

pytest.register_assert_rewrite("haulier.testing")
