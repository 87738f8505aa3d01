"""Structure files of TinyNAS, the DeepMAD authors' public code: import and export.

Such a file is one Python literal: a list of blocks, or a mapping with one under ``structure_info`` or several under
``best_structures`` (other keys, such as recorded scores, are no part of a structure)::

    {'best_structures': [[
     {'class': 'ConvKXBNRELU', 'in': 3, 'out': 32, 'k': 3, 's': 2},
     {'class': 'SuperResK1KXK1', 'in': 32, 'out': 96, 'k': 5, 's': 2, 'L': 1, 'btn': 40}]],
     'space_arch': 'CnnNet'}

====================  ====================================================  ==========================
TinyNAS class         here                                                  activation without ``act``
====================  ====================================================  ==========================
``ConvKXBNRELU``      stem; at the end with k = s = 1 the head's            as the network's blocks
                      convolution; elsewhere ``conv``
``SuperResK1KXK1``    ``bottleneck``, shortcut ``pool``                     relu
``SuperResKXKX``      ``basic``, shortcut ``pool``                          relu
``SuperResK1DWK1``    ``inverted-residual``, shortcut ``pool``              silu
``SuperResK1DWSEK1``  the same with ``se: deepmad``                         silu
====================  ====================================================  ==========================

A structure names neither input size nor classes; both are arguments here. One thing does not translate: a strided
``SuperResKXKX`` has its stride on the second convolution and no projection between equal widths, while ``basic`` has
its stride on the first, as ResNet does. Params (but for such a projection), layers, rho and entropy are the same, MACs
are lower; both directions warn about it.
"""

from madnas.network.tinynas.read import load_tinynas, parse_tinynas
from madnas.network.tinynas.write import dump_tinynas

__all__ = ["dump_tinynas", "load_tinynas", "parse_tinynas"]
