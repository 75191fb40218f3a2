"""A browser for the tests of the page, and pages opened in it."""

import pytest

from tests.viz.browser import Lstm, Opened, launched


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def opened(browser):
    """A function that opens a page; all that it opened must have been silent and offline."""
    pages = []

    def open_page(path, **options):
        pages.append(Opened(browser, path, **options))
        return pages[-1]

    yield open_page
    for each in pages:
        each.close()
        assert each.complaints == []
        assert len(each.requests) == 1


@pytest.fixture
def lstm(tmp_path):
    return Lstm(tmp_path)
