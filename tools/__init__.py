"""What builds and checks the book. Readers need none of it; `course_lib` does not know it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
