"""What decay reaches in a model."""

from course_lib import probe, report


def test_chapters_find_coast_here():
    assert report.coast is probe.coast
