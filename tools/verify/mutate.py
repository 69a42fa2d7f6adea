"""mutmut, but for how it runs tests.

    python -m tools.verify.mutate run [--max-children N] [NAME ...]

It tests each change in a fork, where it starts pytest anew. That takes seconds, and the test that notices a
change mostly a tenth of one. Here pytest has collected all tests before the forks part from it. Those run
first that have noticed most changes of the same function in the least time, up to ENOUGH: what no test has
noticed by then counts as not noticed. A test that takes ten times as long as without a change, and MORE, has
noticed it.
"""

import os
import resource
import sys
from collections import Counter
from functools import partial
from itertools import accumulate
from pathlib import Path
from time import process_time

from mutmut.__main__ import cli
from mutmut.configuration import config
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.utils.file_utils import change_cwd
from mutmut.workers import isolation

ENOUGH = 0.1  # of the time that all tests take
MORE = 30  # seconds: a test may find what another one has computed, and not where it is alone


def likeliest(tests, mutant, noticed, duration):
    """Return the tests that a change meets, in their order, as far as they run."""
    function, module = (mutant.rpartition(end)[0] for end in ("__mutmut_", "."))
    counts = Counter()
    for other, test in noticed:
        counts[test] += 10 * (other.rpartition("__mutmut_")[0] == function) + other.startswith(f"{module}.")
    names = sorted(tests, key=lambda name: -(counts[name] + 1) / (duration[name] + 0.01))
    room = ENOUGH * sum(duration.values())
    ends = accumulate(duration[name] for name in names)
    return [name for name, end in zip(names, ends, strict=True) if end <= room] or names[:1]


class Collected(PytestRunner):
    """Runs tests that a session of pytest has collected."""

    def __init__(self, session):
        super().__init__()
        self.session, self.items = session, {item.nodeid: item for item in session.items}
        if missing := state().duration_by_test.keys() - self.items.keys():
            raise ValueError(f"tests that mutmut knows were not collected: {sorted(missing)}")
        self.held, self.noticed = [], Path("noticed.txt").resolve()

    def warm_up(self):
        self.hold()

    def hold(self):
        """Keep what mutmut has opened and does not close, or pytest says so of the test that runs."""
        self.held += sys.stdout, sys.stderr

    def run_tests(self, *, mutant_name, tests):
        self.hold()
        duration, (_, most) = state().duration_by_test, resource.getrlimit(resource.RLIMIT_CPU)
        names = [*(tests or duration)]
        if mutant_name:
            noticed = self.noticed.read_text(encoding="utf-8") if self.noticed.exists() else ""
            names = likeliest(
                names, mutant_name, [line.split(maxsplit=1) for line in noticed.splitlines()], duration
            )
        for name, after in zip(names, [*names[1:], None], strict=True):
            if mutant_name:
                limit = int(process_time() + 10 * duration[name] + MORE)
                resource.setrlimit(resource.RLIMIT_CPU, (min(limit, most), most))
            item = self.items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.items.get(after))
            if self.session.testsfailed:
                if mutant_name:
                    with self.noticed.open("a", encoding="utf-8") as file:
                        file.write(f"{mutant_name} {name}\n")
                return 1
        return 0


class Server(isolation.ForkServerRunner):
    """A server of forks within a run of pytest."""

    def _forkserver_main(self, work_fd, result_fd):
        serve = partial(super()._forkserver_main, work_fd, result_fd)

        def begin(session):
            self.test_runner_class = partial(Collected, session)
            serve()

        in_a_session(begin)

    def run_clean_tests(self, tests):
        return isolation.run_in_fork(
            in_a_session, lambda session: Collected(session).run_tests(mutant_name=None, tests=tests)
        )


def in_a_session(act):
    """Let pytest collect all tests, and end this process with what `act` makes of them."""

    class Loop:
        @staticmethod
        def pytest_runtestloop(session):
            os._exit(act(session) or 0)

    with Path(os.devnull).open("w") as sys.stdout, change_cwd("mutants"):
        args = ["-q", "--capture=sys", *config().pytest_add_cli_args_test_selection]
        raise RuntimeError(f"pytest ended with {PytestRunner().execute_pytest(args, plugins=[Loop()])}")


if __name__ == "__main__":
    isolation.ForkServerRunner = Server
    cli()
