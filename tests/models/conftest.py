"""One thread for matrix products: the suite is run on all cores already."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    with threadpool_limits(1, user_api="blas"):
        yield
