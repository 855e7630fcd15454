"""Statistical tests of the Convolution Weight Distribution Assumption (CWDA).

>>> import cwda
>>> net = cwda.load("resnet20-cifar10")
>>> res = cwda.check(net)
>>> len(res.table)
152
"""

import lazy_loader

from cwda._version import __version__ as __version__

# The public names are listed in `__init__.pyi`; a room is imported when one is first used, since
# importing torch takes two seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
