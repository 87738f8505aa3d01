"""From a description to an ``nn.Module``, in timm's form: :func:`build`, or ``timm.create_model("madnas", spec=...)``.

Importing this package registers ``madnas`` with timm, and the named networks as ``madnas_NAME``.
"""

from madnas.models.names import register
from madnas.models.registry import build

__all__ = ["build", "register"]
