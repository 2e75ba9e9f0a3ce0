"""The corpus of wire bodies and streams, and the laws that every codec keeps on all of it.

``python -m conformance`` runs every case against every law that applies to it and prints a table by
law and dialect. The corpus has three sources: ``cases/`` (written here, each case naming the SDK
type or documentation that it comes from), and, where the folder of shared data stands beside the checkout,
captured answers of the real APIs and recorded requests of real clients.
"""
