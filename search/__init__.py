"""Which subnet to deploy: latency tables joined with accuracies, searched exactly.

The same from Python as from `compofa-search`:

    from compofa.profiler.results.table import read_table
    from compofa.search.accuracy.accuracy import load_accuracy
    from compofa.search.answer import ask
    from compofa.search.candidates import Latencies, join
    from compofa.supernet.spaces import get_space

    space = get_space("compofa")
    tables = [Latencies(path, read_table(path))]
    candidates = join(tables, space, load_accuracy(None, space))
    ask(candidates, [(25.0,)], top=3).results

Nothing is imported here, so that a command pays for what it uses only.
"""
