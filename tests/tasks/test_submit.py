"""Stages submitted to Prefect: what is awaited, what is counted, and what is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.stages import STAGE_TASKS
from tasks.submit import LostWorkerError, close_lost_tasks, ended_tasks, submitting
from tasks.worker import register, unregister
from tests.support.counting import CALLS
from tests.test_edit_costs import base, case
from themis_lib import Experiment, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.identity.part import Part
from themis_lib.runs.run import Run
