"""Turns the .proto files beside this one into one FileDescriptorSet. Stands alone: the build runs it by its path."""

import os
from pathlib import Path

SOURCE = Path(__file__).parent
TARGET = SOURCE.parent / "descriptors.binpb"
_ALSO = ("google/rpc/status.proto",)
"""Needed beside ours; its source is googleapis-common-protos'."""


def sources() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.proto"))


def compile_descriptors(target: Path = TARGET) -> None:
    """Write the set, imports included. Needs grpcio-tools and googleapis-common-protos; raises RuntimeError."""
    import google.rpc
    from grpc_tools import protoc

    well_known = Path(protoc.__file__).parent / "_proto"
    common = Path(next(iter(google.rpc.__path__))).parents[1]
    fresh = target.with_suffix(f".{os.getpid()}.binpb")  # several servers may start at once
    command = ["protoc", f"-I{SOURCE}", f"-I{common}", f"-I{well_known}", "--include_imports"]
    command += [f"--descriptor_set_out={fresh}", *(path.relative_to(SOURCE).as_posix() for path in sources()), *_ALSO]
    if protoc.main(command) != 0:
        raise RuntimeError("the .proto files do not compile: see above")
    fresh.replace(target)
