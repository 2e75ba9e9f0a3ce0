"""What ``import lmtools`` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lmtools


def test_every_public_name_can_be_had_and_no_other():
    for name in lmtools.__all__:
        assert getattr(lmtools, name) is not None

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = lmtools.Nothing


def test_the_list_and_the_homes_of_the_names_agree():
    assert set(lmtools.__all__) == set(lmtools._HOME) | {"__version__"}
    assert set(lmtools.__all__) <= set(dir(lmtools))


def test_importing_the_package_loads_nothing_else():
    """The proxy and the client start in the time of what they use."""
    code = "import sys, lmtools; print([m for m in sys.modules if m.startswith('lmtools.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['lmtools.version']"
