"""The machine underneath: files that are whole or absent, and worker processes."""

from drivewm.host.files import replace_folder, replacing, without_nan, write_bytes, write_json
from drivewm.host.processes import in_processes, open_processes

__all__ = ["in_processes", "open_processes", "replace_folder", "replacing", "without_nan", "write_bytes", "write_json"]
