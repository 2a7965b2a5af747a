"""The picture that tests of files decode."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rasters import gray_picture


@pytest.fixture(scope="session")
def gray() -> NDArray[np.uint8]:
    return gray_picture()
