"""What a frozen program needs of the WATS plugin beside what it imports: the server's document, lazy modules."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

datas = collect_data_files("haulier_wats", excludes=["__pyinstaller"]) + copy_metadata("haulier-wats")
hiddenimports = collect_submodules("haulier_wats", filter=lambda name: ".__pyinstaller" not in name)
