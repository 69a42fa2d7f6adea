"""What decay reaches in a model."""

from __future__ import annotations

from course_lib.probe import coast as coast

__all__: list[str] = []
