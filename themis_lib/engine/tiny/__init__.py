"""A small chat model trained from scratch on data this package makes, shipped as
`tiny.gguf`.
"""

from pathlib import Path

#: The model that comes with the package.
TINY = Path(__file__).with_name("tiny.gguf")
