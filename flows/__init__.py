"""Evaluations as Prefect flows."""

import os

# Here, since Prefect reads it on import, and then asks to have its use counted by a
# service on the internet: no call goes out but the user's own.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
