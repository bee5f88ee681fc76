"""Entry point of a fresh process: `python -m benchmarks.run_job MODULE:FUNCTION JSON`
calls the function with the arguments and prints its result as JSON.
"""

from __future__ import annotations

import json
import sys
from pkgutil import resolve_name

if __name__ == "__main__":
    _name, _arguments = sys.argv[1:]
    _result = resolve_name(_name)(**json.loads(_arguments))
    print(json.dumps(_result))
