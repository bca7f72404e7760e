"""Search spaces, subnets as graphs, the supernet that holds their weights, and model files.

The names that `__init__.pyi` lists can be imported from here (docs/python-api.md); each is loaded
when it is first used, so that a command pays for what it uses only.
"""

from compofa.common import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__, __file__)
