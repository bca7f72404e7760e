"""Search spaces, subnets as graphs, the supernet that holds their weights, and model files.

The names in `__init__.pyi` can be imported from here (docs/python-api.md). Each is loaded when it
is first used, so that a command loads only what it uses.
"""

from compofa.common import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__, __file__)
