"""mutmut, but for how it runs tests.

    python -m tools.verify.mutate run [--max-children N] [NAME ...]

It tests each change in a fork, where it starts pytest anew. That takes seconds, and the test that notices a
change mostly a tenth of one. Here pytest has collected all tests before the forks part from it. The shortest
runs first, and one that takes ten times as long as without a change, and MORE, has noticed it.
"""

import os
import resource
import sys
from functools import partial
from pathlib import Path
from time import process_time

from mutmut.__main__ import cli
from mutmut.configuration import config
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.utils.file_utils import change_cwd
from mutmut.workers import isolation

MORE = 30  # seconds: a test may find what another one has computed, and not where it is alone


class Collected(PytestRunner):
    """Runs tests that a session of pytest has collected."""

    def __init__(self, session):
        super().__init__()
        self.session, self.items = session, {item.nodeid: item for item in session.items}
        if missing := state().duration_by_test.keys() - self.items.keys():
            raise ValueError(f"tests that mutmut knows were not collected: {sorted(missing)}")
        self.held = []

    def warm_up(self):
        self.hold()

    def hold(self):
        """Keep what mutmut has opened and does not close, or pytest says so of the test that runs."""
        self.held += sys.stdout, sys.stderr

    def run_tests(self, *, mutant_name, tests):
        self.hold()
        duration, (_, most) = state().duration_by_test, resource.getrlimit(resource.RLIMIT_CPU)
        names = sorted(tests or duration, key=duration.__getitem__)
        for name, after in zip(names, [*names[1:], None], strict=True):
            if mutant_name:
                limit = int(process_time() + 10 * duration[name] + MORE)
                resource.setrlimit(resource.RLIMIT_CPU, (min(limit, most), most))
            item = self.items[name]
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.items.get(after))
            if self.session.testsfailed:
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
