"""The build's own step: compile the wire's .proto files, so that nothing generated is kept in the repository."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPT = Path("src", "holdfast", "api", "scalekit", "proto", "compile.py")


class CompileProtos(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        spec = importlib.util.spec_from_file_location("compile_protos", Path(self.root) / SCRIPT)
        assert spec is not None and spec.loader is not None  # noqa: S101  (a file of ours)
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        script.compile_descriptors()
