"""A small chat model, trained from scratch on data that this package makes.

The trained model is shipped as `tiny.gguf`.
"""

from pathlib import Path

#: The model that comes with the package.
TINY = Path(__file__).with_name("tiny.gguf")
