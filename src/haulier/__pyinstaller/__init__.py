"""Tells PyInstaller how to freeze programs that use Haulier; it finds this package by itself."""

from pathlib import Path

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Folders of PyInstaller hooks, as its entry point ``hook-dirs`` asks for."""
    return [str(Path(__file__).parent)]
