"""Volumes laid out as the kubelet mounts Secrets, ConfigMaps and projected tokens."""

from collections.abc import Mapping
from pathlib import Path

FIRST = "..2026_11_22_10_00_00.123456789"
SECRET_MODE, CONFIG_MODE = 0o440, 0o444


def mount(
    place: Path, files: Mapping[str, bytes], mode: int = SECRET_MODE, generation: str = FIRST
) -> Path:
    """Write the files (relative path to content) as one update and turn `..data` to it."""
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o3777)  # as tmpfs with fsGroup: all may add, nobody may exchange
    inside = place / generation
    inside.mkdir()
    for path, content in files.items():
        target = inside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)
    inside.chmod(0o755)
    aside = place / "..data_tmp"
    aside.symlink_to(generation)
    aside.rename(place / "..data")
    for name in {path.split("/")[0] for path in files}:
        if not (place / name).is_symlink():
            (place / name).symlink_to(f"..data/{name}")
    return place
