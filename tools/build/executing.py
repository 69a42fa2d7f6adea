"""When a notebook is executed: what its outputs depend on, and all that lack them side by side."""

import asyncio
import hashlib
import os
from contextlib import suppress

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from tools import ROOT
from tools.build import notebooks


def fingerprint(app, docname, source):
    """Make what a notebook's outputs depend on part of the key under which jupyter-cache keeps them."""
    if app.env.doc2path(docname).endswith(".ipynb"):
        notebook = nbformat.reads(source[0], as_version=4)
        notebook.metadata.kernelspec["depends_on"] = depends_on(notebook)
        source[0] = nbformat.writes(notebook)


def depends_on(notebook):
    """Return a digest of the files, beside its own, that a notebook's outputs depend on."""
    paths = [*notebooks.modules_used(notebook), ROOT / "requirements.txt", ROOT / "constraints.txt"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def execute_missing(app, env, docnames):
    """Execute, one notebook a core, what the cache lacks: Sphinx would do so one page after another."""
    paths = [path for name in docnames if (path := env.doc2path(name)).endswith(".ipynb")]
    if env.mystnb_config.execution_mode == "cache":
        asyncio.run(execute_all(paths, env.mystnb_config))


async def execute_all(paths, config):
    cache = get_cache(config.execution_cache_path)
    cores = asyncio.Semaphore(os.cpu_count())
    await asyncio.gather(*(execute(path, config, cache, cores) for path in paths))


async def execute(path, config, cache, cores):
    """Execute a notebook into the cache, unless it is there; one that fails is left to myst-nb to report."""
    notebook = notebooks.read(path)
    notebook.metadata.kernelspec["depends_on"] = depends_on(notebook)
    with suppress(KeyError):
        return cache.match_cache_notebook(notebook)
    async with cores:
        with suppress(CellExecutionError, CellTimeoutError):
            await notebooks.client(notebook, path, config.execution_timeout).async_execute()
            cache.cache_notebook_bundle(CacheBundleIn(notebook, path), check_validity=False, overwrite=True)
