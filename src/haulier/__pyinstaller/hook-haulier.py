"""What a frozen program needs beside what it imports: SQL files, lazily imported modules, installed plugins."""

from PyInstaller.utils.hooks import collect_data_files, collect_entry_point, collect_submodules, copy_metadata

plugin_metadata, plugin_modules = collect_entry_point("haulier")

datas = collect_data_files("haulier", excludes=["__pyinstaller"]) + copy_metadata("haulier") + plugin_metadata
hiddenimports = plugin_modules + collect_submodules(
    "haulier", filter=lambda name: not name.startswith(("haulier.testing", "haulier.__pyinstaller"))
)
