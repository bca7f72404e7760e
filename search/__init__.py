"""Which subnet to deploy: latency tables joined with accuracies, searched exactly.

The same from Python as from `compofa-search`:

    from compofa.profiler import read_table
    from compofa.search import Latencies, ask, join, load_accuracy
    from compofa.supernet import get_space

    space = get_space("compofa")
    tables = [Latencies(path, read_table(path))]
    candidates = join(tables, space, load_accuracy(None, space))
    ask(candidates, [(25.0,)], top=3).results

The names that `__init__.pyi` lists can be imported from here (docs/python-api.md); each is loaded
when it is first used, so that a command pays for what it uses only.
"""

from compofa.common import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__, __file__)
