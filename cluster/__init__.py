"""Configuration, topology, launch, client and command line."""

if (
    __name__ != "greenray.cluster"
):  # found as a folder, by a process that runs at the repository's top
    raise ImportError("this package is imported as greenray.cluster", name=__name__)
