"""The default store, and names that look like a database and would become a folder."""

from __future__ import annotations

from themis_lib.errors import ConfigError

#: Where rows and runs are kept unless somebody says otherwise, for every command and
#: flow; a folder of the working directory.
DEFAULT_STORE = "results"

_DATABASES = [
    "sqlite",
    "sqlite3",
    "duckdb",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "mongo",
    "mongodb",
    "cassandra",
    "dynamodb",
    "elasticsearch",
    "opensearch",
    "clickhouse",
    "bigquery",
    "snowflake",
    "lmdb",
    "leveldb",
    "rocksdb",
    "sql",
    "database",
    "db",
    "wandb",
    "mlflow",
]
_FORMATS = [
    "jsonl",
    "json",
    "ndjson",
    "csv",
    "tsv",
    "parquet",
    "arrow",
    "feather",
    "pickle",
    "pkl",
    "hdf5",
    "zarr",
    "delta",
    "iceberg",
    "lance",
    "yaml",
]
_PLACES = {
    "s3": "s3://bucket/path",
    "aws": "s3://bucket/path",
    "minio": "s3://bucket/path",
    "r2": "s3://bucket/path",
    "gs": "gs://bucket/path",
    "gcs": "gs://bucket/path",
    "az": "az://container/path",
    "abfs": "abfs://container/path",
    "azure": "az://container/path",
    "hdfs": "hdfs://host/path",
    "http": "https://host/path",
    "https": "https://host/path",
    "in-memory": "memory",
    "in_memory": "memory",
    "inmemory": "memory",
    "mem": "memory",
    "ram": "memory",
    "file": "results",
    "files": "results",
    "filesystem": "results",
    "fs": "results",
    "disk": "results",
    "local": "results",
}


def check_store_name(store: str) -> None:
    """Refuse no name, and a name of a backend that is none; say what to write.

    Raises `ConfigError`. A folder that really has such a name is written with its path:
    `./sqlite`. Also refused are URLs of databases, such as `redis://host`.
    """
    # Of a variable that is empty: rows would be kept in the working directory itself.
    if not store.strip():
        raise ConfigError(
            f"store {store!r} names no place: write a folder (`results`) or a URL "
            "(`s3://bucket/path`)"
        )
    scheme, is_url, _ = store.strip().lower().partition("://")
    # Dialects and drivers are written behind the name: `postgresql+psycopg`.
    kind = scheme.partition("+")[0].rstrip(":")
    if kind in _DATABASES:
        problem = "is a database, and rows are kept as Parquet files"
        write = "a folder (`results`) or a URL (`s3://bucket/path`)"
    elif is_url:
        return
    elif kind in _FORMATS:
        problem = "is a format, and rows are always kept as Parquet files"
        write = "the folder for them (`results`) or a URL (`s3://bucket/path`)"
    elif kind in _PLACES:
        problem = "names no place"
        write = f"`{_PLACES[kind]}`"
    else:
        return
    folder = "" if is_url else f"; a folder of this name is `./{store.strip()}`"
    raise ConfigError(f"store {store!r} {problem}: write {write}{folder}")
