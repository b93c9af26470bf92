import pytest

pytest.register_assert_rewrite("haulier.testing")
