"""Names that options of the command line share with settings and records.

Here, so that a command knows its options before it imports the rest.
"""

from __future__ import annotations

from typing import Literal

#: Where shards are computed.
RunnerName = Literal["threads", "processes", "dask", "ray"]
#: What gates go by: the interval of a mean or a difference, or the number alone.
GateBasis = Literal["interval", "mean"]
