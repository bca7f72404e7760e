"""Finds the subnet to deploy: joins latency tables with accuracies and searches them exactly.

What `compofa-search` does can also be done from Python:

    from compofa.profiler import read_table
    from compofa.search import Latencies, ask, join, load_accuracy
    from compofa.supernet import get_space

    space = get_space("compofa")
    tables = [Latencies(path, read_table(path))]
    candidates = join(tables, space, load_accuracy(None, space))
    ask(candidates, [(25.0,)], top=3).results

The names in `__init__.pyi` can be imported from here (docs/python-api.md). Each is loaded when it
is first used, so that a command loads only what it uses.
"""

from compofa.common import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__, __file__)
