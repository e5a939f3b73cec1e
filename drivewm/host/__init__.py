"""The machine underneath: files that are whole or absent, and worker processes."""

from drivewm.host.files import replacing, write_bytes, write_json
from drivewm.host.processes import in_processes, open_processes

__all__ = ["in_processes", "open_processes", "replacing", "write_bytes", "write_json"]
