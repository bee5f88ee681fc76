"""Known benchmarks by name: a YAML file each, in the format that users write.

A file is an experiment without a model (`generation.generator` has no `use`), with a
section `about`. The data is on the Hugging Face hub, or in a file of the same shape.
"""

from themis_lib.catalog.tasks import Task, find_tasks, load_task, task_names

__all__ = ["Task", "find_tasks", "load_task", "task_names"]
